//! The profiles that are compiled in.

use std::sync::LazyLock;

use super::parse::Written;
use super::profiles::Profiles;
use super::types::Profile;

/// The built-in profiles: name, and the YAML file in `built_in`.
pub const BUILT_IN: [(&str, &str); 7] = [
    ("userns", include_str!("built_in/userns.yaml")),
    ("rootless", include_str!("built_in/rootless.yaml")),
    ("root", include_str!("built_in/root.yaml")),
    ("root-fuse", include_str!("built_in/root-fuse.yaml")),
    ("openshift", include_str!("built_in/openshift.yaml")),
    ("privileged", include_str!("built_in/privileged.yaml")),
    ("none", include_str!("built_in/none.yaml")),
];

static BUILT_IN_PROFILES: LazyLock<Profiles> = LazyLock::new(|| {
    let parse = |(name, yaml)| {
        let mut profile = Written::from_yaml(yaml)
            .and_then(|written| written.resolve(None))
            .unwrap_or_else(|error| panic!("built-in profile {name}: {error}"));
        assert_eq!(
            profile.name, name,
            "a built-in profile is named as its file"
        );
        profile.built_in = true;
        profile
    };
    BUILT_IN.map(parse).into_iter().collect()
});

impl Profile {
    /// Whether it is compiled in, so that it changes only with podseal's version.
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }
}

impl Profiles {
    /// The built-in profiles.
    pub fn built_in() -> &'static Profiles {
        &BUILT_IN_PROFILES
    }

    /// Those that are not built in.
    pub fn custom(&self) -> impl Iterator<Item = &Profile> {
        self.iter().filter(|profile| !profile.is_built_in())
    }
}
