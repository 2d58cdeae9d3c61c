//! The values of a profile that a namespace can override.
//!
//! | annotation | overrides | bounds |
//! |---|---|---|
//! | `podseal.io/run-as-user` | every `runAsUser` of the profile except 0 | 1 to 65535 |
//! | `podseal.io/home` | `home.path` | the same as in a profile |
//! | `podseal.io/home-size` | `home.sizeLimit` | a quantity |
//! | `podseal.io/fuse-resource` | the name of the limit that ends in `/fuse`, or of the only one | an extended resource |
//!
//! None of them can extend what the profile grants: a user never becomes root, HOME
//! stays a volume of the pod, and the device keeps the part of its name after the slash.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::home_path::HomePath;
use super::{Profile, Setting};
use crate::pod::limits::LAST_MAPPED_ID;
use crate::pod::names::{is_extended_resource, is_quantity};
use crate::text::quoted;

/// The annotation that overrides the user.
pub const RUN_AS_USER: &str = "podseal.io/run-as-user";
/// The annotation that overrides HOME.
pub const HOME: &str = "podseal.io/home";
/// The annotation that overrides the size of each volume.
pub const HOME_SIZE: &str = "podseal.io/home-size";
/// The annotation that overrides the name of the FUSE device.
pub const FUSE_RESOURCE: &str = "podseal.io/fuse-resource";

impl Setting {
    /// Its name in a profile and in a namespace rule.
    pub fn name(self) -> &'static str {
        match self {
            Setting::RunAsUser => "run-as-user",
            Setting::Home => "home",
            Setting::HomeSize => "home-size",
            Setting::FuseResource => "fuse-resource",
        }
    }

    /// Its annotation on a namespace.
    pub const fn annotation(self) -> &'static str {
        match self {
            Setting::RunAsUser => RUN_AS_USER,
            Setting::Home => HOME,
            Setting::HomeSize => HOME_SIZE,
            Setting::FuseResource => FUSE_RESOURCE,
        }
    }
}

/// The values that a namespace overrides, checked against its profile.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overrides<'a> {
    pub(super) run_as_user: Option<i64>,
    pub(super) home: Option<&'a str>,
    pub(super) home_size: Option<&'a str>,
    pub(super) fuse: Option<FuseName<'a>>,
}

/// The name of the limit that is the FUSE device.
#[derive(Debug, Clone, Copy)]
pub(super) struct FuseName<'a> {
    pub(super) original: &'a str,
    pub(super) effective: &'a str,
}

impl<'a> Overrides<'a> {
    pub(super) fn new(
        profile: &'a Profile,
        values: impl IntoIterator<Item = (Setting, &'a str)>,
    ) -> Result<Overrides<'a>, (Setting, String)> {
        let mut overrides = Overrides::default();
        for (setting, value) in values {
            overrides
                .set(profile, setting, value)
                .map_err(|why| (setting, why))?;
        }
        Ok(overrides)
    }

    /// As it is part of a mark on pods: replicas of two versions have to agree on it.
    pub(super) fn serializable(&self) -> impl Serialize {
        let fuse = self.fuse.map(|fuse| (fuse.original, fuse.effective));
        let values = (self.run_as_user, self.home, fuse);
        // The first version with a size has to agree with those before where there is none.
        self.home_size
            .map_or(json!(values), |size| json!((values, size)))
    }

    fn set(
        &mut self,
        profile: &'a Profile,
        setting: Setting,
        value: &'a str,
    ) -> Result<(), String> {
        if !profile.settings.contains(&setting) {
            return Err("the profile does not allow a namespace to override it".to_owned());
        }
        match setting {
            Setting::RunAsUser => {
                let user = value
                    .parse()
                    .ok()
                    .filter(|user| (1..=LAST_MAPPED_ID).contains(user));
                // Without a leading zero: some read 010 as 8.
                let is_canonical = |user: &i64| user.to_string() == value;
                let user = user.filter(is_canonical);
                let user = user.ok_or(format!(
                    "{} is not a user ID from 1 to {LAST_MAPPED_ID}",
                    quoted(value)
                ))?;
                if !profile.sets_a_user() {
                    return Err("the profile sets no user other than root".to_owned());
                }
                self.run_as_user = Some(user);
            }
            Setting::Home => {
                match HomePath::parse(value) {
                    Ok(HomePath::Mountable(_)) => {}
                    Ok(HomePath::OfPodmanImage) => {
                        return Err("a volume at /home/podman would hide the image's own \
                                    configuration"
                            .to_owned());
                    }
                    Err(refusal) => return Err(format!("{} {refusal}", quoted(value))),
                }
                if !profile.sets_home() {
                    return Err("the profile sets no HOME".to_owned());
                }
                self.home = Some(value);
            }
            Setting::HomeSize => {
                if !is_quantity(value) {
                    return Err(format!("{} is not a quantity, such as 20Gi", quoted(value)));
                }
                if !profile.adds_volumes() {
                    return Err("the profile adds no volume".to_owned());
                }
                self.home_size = Some(value);
            }
            Setting::FuseResource => {
                if !is_extended_resource(value) {
                    return Err(format!(
                        "{} is not an extended resource, such as github.com/fuse",
                        quoted(value)
                    ));
                }
                let fuse = profile.fuse_resource();
                let fuse = fuse.ok_or("the profile requests no fuse device".to_owned())?;
                // Not any device: the profile does not allow a GPU.
                let device = |name: &str| name.rsplit('/').next().map(str::to_owned);
                if device(value) != device(fuse) {
                    return Err(format!(
                        "{} is not the same device as {}: the part after the slash must be the \
                         same",
                        quoted(value),
                        quoted(fuse)
                    ));
                }
                // Each review would change one of two limits with the same name.
                if value != fuse && profile.limits().any(|name| name == value) {
                    return Err(format!(
                        "{} is already the name of another device in the profile",
                        quoted(value)
                    ));
                }
                self.fuse = Some(FuseName {
                    original: fuse,
                    effective: value,
                });
            }
        }
        Ok(())
    }
}

impl Profile {
    fn sets_a_user(&self) -> bool {
        !self.users().is_empty()
    }

    /// The users other than root that it sets, and the first path of each.
    pub fn users(&self) -> BTreeMap<i64, Vec<&str>> {
        let parts = [("set", &self.pod.set), ("ifUnset", &self.pod.if_unset)];
        let of_pod = parts.map(|(part, fields)| (vec!["pod", part], &fields.security_context));
        let of_containers = self.containers.all().flat_map(|(scope, rules)| {
            let parts = [("set", &rules.set), ("ifUnset", &rules.if_unset)];
            parts.map(|(part, fields)| {
                let path = [scope.path(), vec![part]].concat();
                (path, &fields.security_context)
            })
        });
        let mut users = BTreeMap::new();
        for (mut path, context) in of_pod.into_iter().chain(of_containers) {
            if let Some(user) = context.run_as_user.filter(|user| *user > 0) {
                path.extend(["securityContext", "runAsUser"]);
                users.entry(user).or_insert(path);
            }
        }
        users
    }

    /// Whether `user`, which is not root, can stay where `build` has it. A user that the
    /// profile sets is no choice of the job's: the pod may have been corrected before.
    pub(crate) fn keeps(&self, user: i64) -> bool {
        self.keep_user && !self.makes_build_root() && !self.users().contains_key(&user)
    }

    /// Whether `build` is root whatever the pod has.
    pub(crate) fn makes_build_root(&self) -> bool {
        let of_build = &self.containers.build.set.security_context;
        let contexts = [of_build, &self.pod.set.security_context];
        contexts
            .iter()
            .any(|context| context.run_as_user == Some(0))
    }

    /// Whether it sets HOME for any container.
    pub fn sets_home(&self) -> bool {
        self.containers.all().any(|(_, rules)| rules.home)
    }

    /// Whether it adds volumes, for HOME or else.
    pub fn adds_volumes(&self) -> bool {
        let mut all = self.containers.all();
        all.any(|(_, rules)| rules.home || !rules.empty_dirs.is_empty())
    }

    /// The first path of the limit that is the FUSE device.
    pub fn fuse_resource_path(&self) -> Option<Vec<&str>> {
        let name = self.fuse_resource()?;
        let of_containers = self.containers.all().flat_map(|(scope, rules)| {
            [("set", &rules.set), ("ifUnset", &rules.if_unset)].map(|part| (scope, part))
        });
        let mut parts = of_containers;
        let (scope, (part, _)) =
            parts.find(|(_, (_, fields))| fields.resources.limits.contains_key(name))?;
        Some([scope.path(), vec![part, "resources", "limits", name]].concat())
    }

    /// The names of its limits.
    fn limits(&self) -> impl Iterator<Item = &str> {
        self.containers.all().flat_map(|(_, rules)| {
            let limits = [&rules.set, &rules.if_unset].map(|fields| fields.resources.limits.keys());
            limits.into_iter().flatten().map(String::as_str)
        })
    }

    /// The limit that is the FUSE device: the one whose name ends so, or the only one.
    pub fn fuse_resource(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.limits().collect();
        names.sort_unstable();
        names.dedup();
        match names[..] {
            [only] => Some(only),
            _ => names.into_iter().find(|name| name.ends_with("/fuse")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Profiles;
    use super::*;

    fn overridden(profile: &str, setting: Setting, value: &str) -> Result<(), String> {
        let profile = Profiles::built_in().get(profile).expect("a profile");
        let overrides = Overrides::new(profile, [(setting, value)]);
        overrides.map(|_| ()).map_err(|(of, why)| {
            assert_eq!(of, setting);
            why
        })
    }

    #[test]
    fn a_user_is_a_plain_number_and_not_root() {
        for value in ["1", "2000", "65535"] {
            assert_eq!(overridden("rootless", Setting::RunAsUser, value), Ok(()));
        }
        for value in [
            "0",
            "-1",
            "+1",
            "65536",
            "",
            " 1",
            "1.0",
            "0x1",
            "١",
            "99999999999999999999",
        ] {
            let why = overridden("rootless", Setting::RunAsUser, value).expect_err(value);
            assert!(why.ends_with(" is not a user ID from 1 to 65535"), "{why}");
        }
        let why = overridden("root-fuse", Setting::RunAsUser, "1").expect_err("root stays root");
        assert_eq!(why, "the profile sets no user other than root");
    }

    #[test]
    fn a_home_is_a_path_that_a_volume_can_be_mounted_at() {
        for value in ["/work/home", "/builds/", "/home/me"] {
            assert_eq!(overridden("rootless", Setting::Home, value), Ok(()));
        }
        for value in [
            "",
            "/",
            "home",
            "/etc/x",
            "/a/../b",
            "/home/podman",
            "/proc/self",
            "/a:b",
        ] {
            assert!(
                overridden("rootless", Setting::Home, value).is_err(),
                "{value}"
            );
        }
        let why = overridden("root-fuse", Setting::Home, "/work").expect_err("no HOME");
        assert_eq!(why, "the profile sets no HOME");
    }

    #[test]
    fn a_size_is_a_quantity_for_profiles_that_add_volumes() {
        for (profile, value) in [("rootless", "20Gi"), ("root", "512Mi"), ("userns", "1G")] {
            assert_eq!(overridden(profile, Setting::HomeSize, value), Ok(()));
        }
        for value in ["", "0", "-1Gi", "1.5Gi", "20 Gi", "20gi", "much"] {
            let why = overridden("rootless", Setting::HomeSize, value).expect_err(value);
            assert!(why.ends_with(" is not a quantity, such as 20Gi"), "{why}");
        }
        let why = overridden("none", Setting::HomeSize, "1Gi").expect_err("no volume");
        assert_eq!(why, "the profile adds no volume");
    }

    #[test]
    fn a_device_is_an_extended_resource_and_not_a_quota() {
        for value in ["example.com/fuse", "github.com/fuse", "a.b/fuse"] {
            assert_eq!(
                overridden("root-fuse", Setting::FuseResource, value),
                Ok(())
            );
        }
        for value in [
            "cpu",
            "memory",
            "/fuse",
            "kubernetes.io/fuse",
            "a.kubernetes.io/fuse",
            "requests.a/b",
            "Example.com/fuse",
            "a/b/c",
            // Another device than the profile's.
            "nvidia.com/gpu",
            "",
        ] {
            assert!(
                overridden("root-fuse", Setting::FuseResource, value).is_err(),
                "{value}"
            );
        }
        let why = overridden("rootless", Setting::FuseResource, "a.b/fuse").expect_err("no device");
        assert_eq!(why, "the profile requests no fuse device");
    }

    #[test]
    fn a_setting_that_the_profile_does_not_allow_is_rejected() {
        let mut profile = Profiles::built_in()
            .get("rootless")
            .expect("a profile")
            .clone();
        profile.settings = vec![Setting::Home];
        assert!(Overrides::new(&profile, [(Setting::Home, "/work")]).is_ok());
        let rejected = Overrides::new(&profile, [(Setting::RunAsUser, "2000")]);
        let (_, why) = rejected.expect_err("rejected");
        assert_eq!(why, "the profile does not allow a namespace to override it");
    }
}
