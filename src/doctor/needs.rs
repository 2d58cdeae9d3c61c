//! What a profile needs of a node: read from the pod that it makes of a job's.

use std::collections::BTreeSet;

use serde_json::Value;

use super::job;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::profile::Profile;

/// The annotation by which OpenShift chooses a SecurityContextConstraints.
const REQUIRED_SCC: &str = "openshift.io/required-scc";

/// What a profile needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Podman at all: without it, any node will do.
    pub podman: bool,
    /// A user namespace for the pod.
    pub user_namespace: bool,
    /// Overlay mounts in user namespaces, by the kernel.
    pub native_overlay: bool,
    /// Extended resources, such as `github.com/fuse`.
    pub resources: Vec<String>,
    /// OpenShift.
    pub openshift: bool,
    /// No default seccomp profile: the container neither has one of its own nor none.
    pub no_default_seccomp: bool,
    /// No default AppArmor profile.
    pub no_default_apparmor: bool,
    /// No SELinux type that denies mounts.
    pub no_default_selinux: bool,
    /// A `newuidmap` with file capabilities.
    pub newuidmap: bool,
    /// A user namespace of Podman's own, which a privileged root does without.
    pub own_user_namespace: bool,
    /// That `build` is privileged.
    pub privileged: bool,
    /// The confinement that it names itself: nobody but a pod with the same knows what it
    /// allows.
    pub named: BTreeSet<String>,
    /// The uid of `build`, where the profile sets one.
    pub uid: Option<u64>,
    /// The RuntimeClass, which may run pods by another handler than the default one.
    pub runtime_class: Option<String>,
}

impl Needs {
    /// Those of `profile`, whatever a namespace overrides.
    pub fn of(profile: &Profile, settings: &Settings<'_>) -> Option<Needs> {
        let label = (PROFILE.to_owned(), profile.name.clone());
        let namespace = Namespace::new("doctor", [label], []);
        // Runners are the namespaces' matter.
        let settings = Settings {
            require_runner: false,
            ..*settings
        };
        let pod = job::corrected(&namespace, &settings).ok()?;
        Some(Needs::of_pod(&pod))
    }

    /// Those of a corrected pod.
    pub fn of_pod(pod: &Value) -> Needs {
        if *pod == job::pod() {
            return Needs::default();
        }
        let spec = &pod["spec"];
        let containers = spec["containers"].as_array();
        let mut containers = containers.into_iter().flatten();
        let build = containers.find(|container| container["name"] == "build");
        let build = build.unwrap_or(&Value::Null);
        let context = |field: &str| {
            let own = &build["securityContext"][field];
            if own.is_null() {
                &spec["securityContext"][field]
            } else {
                own
            }
        };
        let is_confined = context("privileged") != &Value::Bool(true);
        let has_no = |field: &str, key: &str| is_confined && context(field)[key].is_null();
        let env = build["env"].as_array().into_iter().flatten();
        let mut mounts = env.filter(|variable| variable["name"] == "STORAGE_OPTS");
        let by_program = mounts.any(|variable| {
            let value = variable["value"].as_str();
            value.is_some_and(|value| value.contains("mount_program"))
        });
        let limits = build["resources"]["limits"].as_object();
        let limits = limits.into_iter().flat_map(|limits| limits.keys());
        let named = [
            ("seccompProfile", "type"),
            ("appArmorProfile", "type"),
            ("seLinuxOptions", "type"),
        ];
        let named = named.into_iter().filter(|(field, key)| {
            let value = &context(field)[key];
            is_confined && !value.is_null() && value != "Unconfined"
        });
        let uid = context("runAsUser").as_u64();
        Needs {
            podman: true,
            user_namespace: spec["hostUsers"] == Value::Bool(false),
            native_overlay: !by_program,
            resources: limits.filter(|name| name.contains('/')).cloned().collect(),
            openshift: !pod["metadata"]["annotations"][REQUIRED_SCC].is_null(),
            no_default_seccomp: has_no("seccompProfile", "type"),
            no_default_apparmor: has_no("appArmorProfile", "type"),
            no_default_selinux: has_no("seLinuxOptions", "type"),
            newuidmap: uid != Some(0) && is_confined,
            own_user_namespace: uid != Some(0) || is_confined,
            privileged: !is_confined,
            named: named
                .map(|(field, _)| format!("{field} {}", context(field)))
                .collect(),
            uid,
            runtime_class: spec["runtimeClassName"].as_str().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use admission::profile::Profiles;

    fn of(name: &str) -> Needs {
        let profile = Profiles::built_in().get(name).expect("it is built in");
        Needs::of(profile, &Settings::built_in()).expect("its job is corrected")
    }

    #[test]
    fn each_built_in_profile_needs_what_its_page_says() {
        let confined = Needs {
            podman: true,
            native_overlay: true,
            no_default_seccomp: true,
            no_default_apparmor: true,
            no_default_selinux: true,
            own_user_namespace: true,
            uid: Some(0),
            ..Needs::default()
        };
        let rootless = Needs {
            newuidmap: true,
            uid: Some(1000),
            ..confined.clone()
        };
        assert_eq!(of("none"), Needs::default());
        assert_eq!(of("root"), confined);
        assert_eq!(of("rootless"), rootless);
        let userns = Needs {
            user_namespace: true,
            ..rootless.clone()
        };
        assert_eq!(of("userns"), userns);
        let root_fuse = Needs {
            native_overlay: false,
            resources: vec!["github.com/fuse".to_owned()],
            ..confined
        };
        assert_eq!(of("root-fuse"), root_fuse);
        let openshift = Needs {
            openshift: true,
            no_default_selinux: false,
            named: [r#"seLinuxOptions {"type":"container_engine_t"}"#.to_owned()].into(),
            ..rootless
        };
        assert_eq!(of("openshift"), openshift);
        let privileged = Needs {
            podman: true,
            native_overlay: true,
            own_user_namespace: true,
            privileged: true,
            uid: Some(1000),
            ..Needs::default()
        };
        assert_eq!(of("privileged"), privileged);
    }
}
