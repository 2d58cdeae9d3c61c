//! Where Podman is known to fail (`docs/which-profile.md` has what was measured).

use std::collections::BTreeSet;

use super::sample::Sample;
use super::{Findings, SetValue, set_value};
use crate::cautions::{About, cautions};
use crate::correct::devices;
use crate::gitlab::role::Role;
use crate::pod::field::{Field, Scalar};
use crate::profile::{Medium, Profile, Rules};
use crate::standards::Level;

/// What a profile sets in a container that sets nothing itself.
struct Made<'p> {
    rules: &'p Rules,
    user: Option<i64>,
    non_root: bool,
    privileged: bool,
    app_armor: Option<SetValue<'p>>,
}

impl<'p> Made<'p> {
    fn of(profile: &'p Profile, role: Role) -> Made<'p> {
        let value = |field| set_value(profile, role, field);
        let privileged = value(Field::Privileged).is_some_and(|value| value.is(true));
        Made {
            rules: profile.containers.role(role),
            user: value(Field::RunAsUser).and_then(|value| value.id()),
            non_root: value(Field::RunAsNonRoot).is_some_and(|value| value.is(true)),
            privileged,
            app_armor: value(Field::AppArmorProfile),
        }
    }

    fn is_non_root(&self) -> bool {
        self.user.map_or(self.non_root, |user| user > 0)
    }

    fn has_home(&self) -> bool {
        let fields = [&self.rules.set, &self.rules.if_unset];
        self.rules.home || fields.iter().any(|fields| fields.env.contains_key("HOME"))
    }

    /// Whether the image's storage.conf does not apply.
    fn has_own_storage(&self) -> bool {
        let mut fields = [&self.rules.set, &self.rules.if_unset].into_iter();
        fields.any(|fields| fields.env.contains_key("CONTAINERS_STORAGE_CONF"))
    }

    /// Whether it requests a device that may be /dev/fuse.
    fn has_fuse(&self) -> bool {
        let fields = [&self.rules.set, &self.rules.if_unset];
        let mut limits = fields.iter().flat_map(|fields| &fields.resources.limits);
        limits.any(|(name, amount)| name.contains("fuse") && amount != "0")
    }
}

impl Findings {
    pub(crate) fn podman(&mut self, profile: &Profile) {
        // A pod that cannot be corrected has an error of its own.
        let plain = Sample::plain(profile);
        let pod = plain.after(Level::Baseline);
        for caution in pod.map_or_else(|_| Vec::new(), |pod| cautions(&pod, &plain.profile())) {
            let path = match caution.about {
                Some(About::Field(role, field)) => {
                    set_value(profile, role, field).map(|value| value.path)
                }
                Some(About::Capabilities) => Some(vec!["containers", "build", "capabilities"]),
                None => None,
            };
            self.warning(&path.unwrap_or(vec!["containers"]), caution.problem);
        }
        if profile.home.medium == Some(Medium::Memory) && profile.home.size_limit.is_none() {
            self.warning(
                &["home", "medium"],
                "images in memory count towards the container's memory limit, and a container that \
                 reaches it is killed; set home.sizeLimit below the memory limit",
            );
        }
        for role in [Role::Build, Role::Helper] {
            let made = Made::of(profile, role);
            if made.is_non_root() && !made.has_home() {
                self.warning(
                    &["containers", role.key()],
                    "a user without an entry in the image's passwd has HOME=/: \"could not lock \
                     config file //.gitconfig: Permission denied\"; set home: true",
                );
            }
        }
        let build = Made::of(profile, Role::Build);
        if !build.privileged {
            self.confinement_allows_podman(&build);
            self.device(profile, &build);
        }
    }

    /// Whether AppArmor's profile is the one that it is taken for.
    fn confinement_allows_podman(&mut self, build: &Made<'_>) {
        if let Some(app_armor) = &build.app_armor
            && let Scalar::Confinement(profile) = &app_armor.value
            && profile.localhost_profile.as_deref() == Some("podman")
        {
            self.warning(
                &app_armor.path,
                "Ubuntu has an AppArmor profile called podman, which confines nothing; use \
                 another name for yours, such as podman-build",
            );
        }
    }

    fn device(&mut self, profile: &Profile, build: &Made<'_>) {
        let fields = [&build.rules.set, &build.rules.if_unset];
        let limits = fields
            .into_iter()
            .flat_map(|fields| fields.resources.limits.keys());
        let fuse: BTreeSet<_> = limits.filter(|name| name.ends_with("/fuse")).collect();
        if let [one, other, ..] = fuse.into_iter().collect::<Vec<_>>()[..] {
            self.warning(
                &["containers", "build", "set", "resources", "limits"],
                format!(
                    "requests both {one} and {other}, and a node must offer both; remove one, for example \
                     with {one}: null"
                ),
            );
        }
        let pod = [&profile.pod.set, &profile.pod.if_unset];
        let has_device = build.has_fuse()
            || pod
                .iter()
                .any(|fields| fields.annotations.keys().any(|key| devices::is_list(key)));
        // In the pod's own user namespace, the kernel mounts overlays
        // itself.
        if build.user == Some(0)
            && !has_device
            && !build.has_own_storage()
            && !profile.has_own_user_namespace()
        {
            self.warning(
                &["containers", "build", "set"],
                "root without a device: \"fuse: device not found\" where the image's storage.conf \
                 names fuse-overlayfs; extend root, or set a limit such as github.com/fuse: 1 under \
                 resources",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, check};
    use crate::profile::{Profile, Profiles};

    /// The warnings about a profile with `rest`.
    fn warnings(rest: &str) -> Vec<String> {
        let yaml = format!("name: x\nsummary: y\n{rest}\n");
        let profile = Profile::from_yaml(&yaml).expect("a profile");
        let findings = check(&profile).into_iter();
        let warnings = findings.filter(|finding| finding.severity == Severity::Warning);
        warnings.map(|finding| finding.to_string()).collect()
    }

    fn build(rules: &str) -> String {
        format!("containers: {{build: {rules}}}")
    }

    #[test]
    fn what_is_known_to_fail_is_warned_of_with_its_symptom() {
        for (rest, symptom) in [
            (
                build(
                    "{home: true, set: {securityContext: {runAsUser: 1000, \
                     allowPrivilegeEscalation: false}}}",
                ),
                "securityContext.allowPrivilegeEscalation: newuidmap gains no capability from its \
                 file: \"newuidmap: write to uid_map failed",
            ),
            (
                build(
                    "{home: true, set: {securityContext: {runAsUser: 1000}}, capabilities: {drop: \
                     [ALL], add: [SETUID]}}",
                ),
                "capabilities: SETGID is dropped and not added",
            ),
            (
                build("{set: {securityContext: {seccompProfile: {type: RuntimeDefault}}}}"),
                "securityContext.seccompProfile: RuntimeDefault without SYS_ADMIN forbids user \
                 namespaces: \"cannot clone: Operation not permitted\"",
            ),
            (
                build("{set: {securityContext: {appArmorProfile: {type: RuntimeDefault}}}}"),
                "securityContext.appArmorProfile: on nodes with AppArmor its default denies mount",
            ),
            (
                build("{set: {securityContext: {runAsUser: 1000}}}"),
                "containers.build: a user without an entry in the image's passwd has HOME=/: \
                 \"could not lock config file //.gitconfig",
            ),
            (
                build(
                    "{home: true, set: {securityContext: {runAsNonRoot: true, \
                     allowPrivilegeEscalation: false}}}",
                ),
                "newuidmap gains no capability from its file",
            ),
            (
                "pod: {set: {securityContext: {seccompProfile: {type: RuntimeDefault}}}}"
                    .to_owned(),
                "pod.set.securityContext.seccompProfile: RuntimeDefault",
            ),
            (
                build(
                    "{set: {securityContext: {runAsUser: 0}, resources: {limits: {nvidia.com/gpu: \
                     1, a.test/fuse: 0}}}}",
                ),
                "root without a device",
            ),
            (
                "containers: {helper: {ifUnset: {securityContext: {runAsUser: 1000}}}}".to_owned(),
                "containers.helper: a user without an entry",
            ),
            (
                build("{set: {securityContext: {runAsUser: 0}}}"),
                "containers.build.set: root without a device: \"fuse: device not found\"",
            ),
            (
                "extends: root-fuse\ncontainers: {build: {set: {resources: {limits: {a.test/fuse: 1}}}}}".to_owned(),
                "limits: requests both a.test/fuse and github.com/fuse, and a node must offer \
                 both",
            ),
            (
                build("{set: {securityContext: {appArmorProfile: {type: Localhost, localhostProfile: podman}}}}"),
                "securityContext.appArmorProfile: Ubuntu has an AppArmor profile called podman",
            ),
            (
                "home: {medium: Memory}".to_owned(),
                "home.medium: images in memory count",
            ),
        ] {
            let warnings = warnings(&rest);
            assert_eq!(warnings.len(), 1, "{rest}: {warnings:#?}");
            assert!(warnings[0].contains(symptom), "{rest}: {warnings:#?}");
        }
    }

    #[test]
    fn what_is_known_to_work_is_not_warned_of() {
        for rest in [
            build("{home: true, set: {securityContext: {runAsUser: 1000}}, capabilities: {drop: [ALL], add: [SETUID, SETGID]}}"),
            build("{home: true, set: {securityContext: {runAsUser: 1000, privileged: true}}, grants: {baseline: [privileged]}}"),
            build("{set: {securityContext: {runAsUser: 0, allowPrivilegeEscalation: false}, resources: {limits: {github.com/fuse: 1}}}}"),
            build("{set: {securityContext: {seccompProfile: {type: RuntimeDefault}}}, capabilities: {add: [ALL]}, grants: {baseline: [capabilities]}}"),
            "pod: {ifUnset: {annotations: {io.kubernetes.cri-o.Devices: /dev/fuse}}}\ncontainers: {build: {set: {securityContext: {runAsUser: 0}}}}".to_owned(),
            "pod: {set: {hostUsers: false}}\ncontainers: {build: {set: {securityContext: {runAsUser: 0, procMount: Unmasked}}}}".to_owned(),
            "containers: {helper: {ifUnset: {env: {HOME: /tmp}, securityContext: {runAsUser: \
             1000}}}}".to_owned(),
            "home: {medium: Memory, sizeLimit: 1Gi}".to_owned(),
        ] {
            assert_eq!(warnings(&rest), [""; 0], "{rest}");
        }
    }

    #[test]
    fn built_in_profiles_have_no_warnings() {
        for profile in Profiles::built_in().iter() {
            assert_eq!(check(profile), [], "{}", profile.name);
        }
    }
}
