//! The profiles a namespace can name, and those that are compiled in.

use std::sync::LazyLock;

use super::Profile;
use super::spelling::nearest;

/// How many names a message tells.
const TOLD: usize = 12;

/// The profiles a namespace can name.
#[derive(Debug, Clone)]
pub struct Profiles(Vec<Profile>);

/// The built-in profiles: name, and the YAML as it stands in `src/profiles`.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("userns", include_str!("../../profiles/userns.yaml")),
    ("rootless", include_str!("../../profiles/rootless.yaml")),
    ("root-fuse", include_str!("../../profiles/root-fuse.yaml")),
    ("openshift", include_str!("../../profiles/openshift.yaml")),
    ("privileged", include_str!("../../profiles/privileged.yaml")),
    ("none", include_str!("../../profiles/none.yaml")),
];

static BUILT_IN_PROFILES: LazyLock<Profiles> = LazyLock::new(|| {
    let parse = |(name, yaml)| {
        let profile = Profile::from_yaml(yaml)
            .unwrap_or_else(|error| panic!("built-in profile {name}: {error}"));
        assert_eq!(
            profile.name, name,
            "a built-in profile is named as its file"
        );
        profile
    };
    Profiles(BUILT_IN.map(parse).into())
});

impl FromIterator<Profile> for Profiles {
    fn from_iter<I: IntoIterator<Item = Profile>>(profiles: I) -> Self {
        Profiles(profiles.into_iter().collect())
    }
}

impl Profile {
    /// Whether it is compiled in, so that only another podseal could change it.
    pub fn is_built_in(&self) -> bool {
        BUILT_IN.iter().any(|(name, _)| *name == self.name)
    }
}

impl Profiles {
    /// The built-in profiles.
    pub fn built_in() -> &'static Profiles {
        &BUILT_IN_PROFILES
    }

    /// The profile called `name`.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.iter().find(|profile| profile.name == name)
    }

    /// All of them, the least privileged first.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.iter()
    }

    /// Those that are not built in.
    pub fn custom(&self) -> impl Iterator<Item = &Profile> {
        self.iter().filter(|profile| !profile.is_built_in())
    }

    /// Their names, for a message on `name`, which is none of them: the nearest
    /// one first, and no more than a line holds.
    pub fn names_near(&self, name: &str) -> String {
        let all = || self.iter().map(|profile| profile.name.as_str());
        let nearest = nearest(name, all());
        let others = all().filter(|other| Some(*other) != nearest);
        let names: Vec<_> = nearest.into_iter().chain(others).take(TOLD).collect();
        let names = names.join(", ");
        match self.0.len().checked_sub(TOLD) {
            Some(more @ 1..) => format!("{names} and {more} more"),
            _ => names,
        }
    }

    /// Their names, for a message: `userns, rootless, …`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.iter().map(|profile| profile.name.as_str()).collect();
        names.join(", ")
    }
}

#[test]
fn every_built_in_profile_is_one_a_user_could_have_written() {
    for (name, _) in BUILT_IN {
        assert!(Profiles::built_in().get(name).is_some(), "{name}");
    }
}
