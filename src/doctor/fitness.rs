//! Which profile works on which kind of node, by what the API tells of it, and by a trial.

use std::borrow::Cow;

use serde::Serialize;

use super::needs::Needs;
use super::node_kind::NodeKind;
use super::systems::{Known, known, may_have_overlay, may_have_pod_user_namespaces};
use super::trial::Trial;
use super::trial::observation::Observation;
use super::verdict;

/// Whether a profile works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "works")]
pub enum Fitness {
    /// It does.
    Yes,
    /// It does not.
    No {
        /// Why.
        reason: String,
        /// The page that says what to change, a path of the repository.
        page: Cow<'static, str>,
    },
    /// Unknown until a job is tried.
    Unknown {
        /// What may prevent it.
        reason: String,
    },
}

impl Fitness {
    pub(super) fn no(reason: impl Into<String>, page: impl Into<Cow<'static, str>>) -> Fitness {
        Fitness::No {
            reason: reason.into(),
            page: page.into(),
        }
    }

    pub(super) fn unknown(reason: impl Into<String>) -> Fitness {
        Fitness::Unknown {
            reason: reason.into(),
        }
    }

    /// In one character.
    pub fn mark(&self) -> &'static str {
        match self {
            Fitness::Yes => "✓",
            Fitness::No { .. } => "✗",
            Fitness::Unknown { .. } => "?",
        }
    }
}

/// What is true of all nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around {
    /// Whether the cluster is OpenShift.
    pub is_openshift: bool,
}

/// Whether the profile called `profile`, with these needs, works on nodes of this kind, of
/// which a pod was tried on one.
pub fn fitness(
    profile: &str,
    needs: &Needs,
    kind: &NodeKind,
    around: Around,
    tried: Option<&Trial>,
) -> Fitness {
    if kind.platform == "windows" {
        return Fitness::no("jobs on Windows are not corrected", "docs/which-profile.md");
    }
    if !needs.podman {
        return Fitness::Yes;
    }
    if let Some((reason, page)) = missing(needs, kind, around) {
        return Fitness::no(reason, page);
    }
    let doubts = doubts(needs, kind, tried);
    if let Some(trial) = tried {
        return verdict::of(profile, needs, trial, doubts);
    }
    match doubts.is_empty() {
        true => Fitness::unknown("nothing that the API tells prevents it"),
        false => Fitness::unknown(doubts.join("; ")),
    }
}

fn older(version: Option<(u32, u32)>, than: (u32, u32)) -> bool {
    version.is_some_and(|own| own < than)
}

fn lacks_overlay(needs: &Needs, kind: &NodeKind) -> bool {
    needs.native_overlay && older(kind.kernel_version(), (5, 13))
}

fn lacks_pod_user_namespaces(needs: &Needs, kind: &NodeKind) -> bool {
    needs.user_namespace && older(kind.kernel_version(), (6, 3))
}

/// What certainly prevents it, and the page that says what to change.
fn missing(needs: &Needs, kind: &NodeKind, around: Around) -> Option<(String, &'static str)> {
    if needs.openshift && !around.is_openshift {
        let reason = "this cluster is not OpenShift".to_owned();
        return Some((reason, "docs/profiles.md#openshift"));
    }
    const USERNS: &str = "docs/profiles.md#userns";
    // Kubernetes, "User Namespaces", v1.37: beta and on by default since 1.33.
    if needs.user_namespace && older(kind.kubelet_version(), (1, 33)) {
        let reason = format!("kubelet {} is older than 1.33", kind.kubelet);
        return Some((reason, USERNS));
    }
    if lacks_pod_user_namespaces(needs, kind) && !may_have_pod_user_namespaces(&kind.kernel) {
        return Some((format!("Linux {} is older than 6.3", kind.kernel), USERNS));
    }
    if needs.user_namespace && needs.runtime_class.is_none() && !kind.user_namespaces {
        let reason = format!("{} has no user namespaces for pods", kind.runtime);
        let others = match kind.handlers.is_empty() {
            true => String::new(),
            false => format!(
                " by its default handler, only by {}",
                kind.handlers.join(", ")
            ),
        };
        return Some((reason + &others, USERNS));
    }
    if lacks_overlay(needs, kind) && !may_have_overlay(&kind.os, &kind.kernel) {
        let reason = format!(
            "Linux {} is older than 5.13: no overlay mounts in user namespaces",
            kind.kernel
        );
        return Some((reason, "docs/profiles.md#root-fuse"));
    }
    let mut absent = needs
        .resources
        .iter()
        .filter(|name| !kind.resources.contains(name));
    if let Some(name) = absent.next() {
        let reason = format!("no device plugin offers {name}");
        return Some((reason, DEVICE_PLUGIN));
    }
    if needs.no_default_seccomp && kind.seccomp_default == Some(true) {
        let reason = "the kubelet's seccompDefault is on".to_owned();
        return Some((reason, "docs/nodes.md#apparmor-and-seccomp"));
    }
    None
}

/// The page on what offers extended resources.
pub(super) const DEVICE_PLUGIN: &str = "docs/nodes.md#the-device-plugin";

/// What may prevent it, as this system is known, but for what a pod that was tried saw is not
/// so.
fn doubts(needs: &Needs, kind: &NodeKind, tried: Option<&Trial>) -> Vec<String> {
    let Known {
        apparmor,
        selinux,
        no_user_namespaces,
        restricted_user_namespaces,
        seccomp_default,
    } = known(&kind.os);
    let may_be = |has_default: fn(&Needs) -> bool, is_so: fn(&Observation) -> bool| {
        let tried = tried.filter(|trial| has_default(&trial.needs));
        let seen = tried.and_then(|trial| trial.observation.as_ref());
        seen.is_none_or(is_so)
    };
    let doubts = [
        (
            lacks_pod_user_namespaces(needs, kind),
            "the kernel is older than 6.3, unless Red Hat backported what pods in user namespaces need",
        ),
        (
            needs.user_namespace && needs.runtime_class.is_some(),
            "the handler of the RuntimeClass may have no user namespaces",
        ),
        (
            lacks_overlay(needs, kind),
            "the kernel is older than 5.13, unless its distribution backported overlay mounts in user namespaces",
        ),
        (
            no_user_namespaces,
            "user.max_user_namespaces is 0 by default",
        ),
        (
            restricted_user_namespaces,
            "kernel.apparmor_restrict_unprivileged_userns is 1 by default",
        ),
        (
            apparmor
                && needs.no_default_apparmor
                && may_be(|tried| tried.no_default_apparmor, |seen| seen.apparmor),
            "AppArmor's default profile denies mounts",
        ),
        (
            selinux
                && needs.no_default_selinux
                && may_be(|tried| tried.no_default_selinux, |seen| seen.selinux),
            "SELinux' default type denies mounts, where the runtime uses it",
        ),
        (
            seccomp_default
                && needs.no_default_seccomp
                && kind.seccomp_default.is_none()
                && may_be(|tried| tried.no_default_seccomp, |seen| seen.seccomp),
            "seccompDefault is on by default",
        ),
    ];
    let doubts = doubts.into_iter().filter(|(applies, _)| *applies);
    doubts.map(|(_, doubt)| doubt.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::trial::Outcome;
    use super::*;
    use admission::namespace::policy::Settings;
    use admission::profile::Profiles;

    fn needs(name: &str) -> Needs {
        let profile = Profiles::built_in().get(name).expect("it is built in");
        Needs::of(profile, &Settings::built_in()).expect("its job is corrected")
    }

    fn node() -> NodeKind {
        NodeKind {
            kubelet: "v1.37.1".to_owned(),
            kernel: "6.18.0".to_owned(),
            runtime: "containerd://2.1.9".to_owned(),
            os: "Wolfi".to_owned(),
            platform: "linux".to_owned(),
            user_namespaces: true,
            handlers: Vec::new(),
            seccomp_default: Some(false),
            resources: vec!["github.com/fuse".to_owned()],
            taints: Vec::new(),
        }
    }

    /// The reason why a profile does not work on a kind of node.
    fn no(profile: &str, kind: &NodeKind) -> String {
        match fitness(profile, &needs(profile), kind, Around::default(), None) {
            Fitness::No { reason, .. } => reason,
            other => panic!("{profile} on {kind:?}: {other:?}"),
        }
    }

    fn unknown(profile: &str, kind: &NodeKind) -> String {
        match fitness(profile, &needs(profile), kind, Around::default(), None) {
            Fitness::Unknown { reason } => reason,
            other => panic!("{profile} on {kind:?}: {other:?}"),
        }
    }

    #[test]
    fn what_a_pod_saw_takes_the_place_of_what_is_known_of_the_system() {
        let debian = NodeKind {
            os: "Debian GNU/Linux 13".to_owned(),
            ..node()
        };
        let reason = |apparmor| {
            let observation = Observation {
                apparmor,
                ..Observation::default()
            };
            let trial = Trial {
                node: "a".to_owned(),
                profile: "root".to_owned(),
                needs: needs("root"),
                observation: Some(observation),
                outcome: Outcome::Built,
                left: None,
            };
            let around = Around::default();
            match fitness("userns", &needs("userns"), &debian, around, Some(&trial)) {
                Fitness::Unknown { reason } => reason,
                other => panic!("{other:?}"),
            }
        };
        assert!(reason(true).contains("AppArmor"));
        assert!(!reason(false).contains("AppArmor"));
    }

    #[test]
    fn what_the_api_tells_prevents_just_the_profiles_that_need_it() {
        let old_kubelet = NodeKind {
            kubelet: "v1.32.9".to_owned(),
            ..node()
        };
        assert!(no("userns", &old_kubelet).contains("older than 1.33"));
        let old_kernel = NodeKind {
            kernel: "5.10.0-32-amd64".to_owned(),
            ..node()
        };
        for profile in ["rootless", "root", "privileged"] {
            assert!(
                no(profile, &old_kernel).contains("older than 5.13"),
                "{profile}"
            );
        }
        unknown("root-fuse", &old_kernel);
        let no_fuse = NodeKind {
            resources: Vec::new(),
            ..node()
        };
        assert_eq!(
            no("root-fuse", &no_fuse),
            "no device plugin offers github.com/fuse"
        );
        unknown("root", &no_fuse);
        let seccomp = NodeKind {
            seccomp_default: Some(true),
            ..node()
        };
        for profile in ["userns", "rootless", "root", "root-fuse"] {
            assert!(
                no(profile, &seccomp).contains("seccompDefault"),
                "{profile}"
            );
        }
        unknown("privileged", &seccomp);
        let plain = NodeKind {
            user_namespaces: false,
            ..node()
        };
        assert!(no("userns", &plain).contains("no user namespaces for pods"));
        assert_eq!(no("openshift", &node()), "this cluster is not OpenShift");
    }

    #[test]
    fn what_a_system_is_known_for_is_a_doubt_and_no_verdict() {
        let of = |os: &str| NodeKind {
            os: os.to_owned(),
            seccomp_default: None,
            ..node()
        };
        assert!(unknown("root", &of("Debian GNU/Linux 13")).contains("AppArmor"));
        let ubuntu = unknown("privileged", &of("Ubuntu 24.04.1 LTS"));
        assert!(
            ubuntu.contains("apparmor_restrict_unprivileged_userns") && !ubuntu.contains("profile")
        );
        assert!(unknown("root", &of("Talos (v1.8.0)")).contains("seccompDefault"));
        assert!(unknown("rootless", &of("Fedora CoreOS 44")).contains("SELinux"));
        assert_eq!(
            unknown("root", &node()),
            "nothing that the API tells prevents it"
        );
    }

    #[test]
    fn a_profile_without_podman_works_on_each_node_but_windows() {
        let none = needs("none");
        assert_eq!(
            fitness("none", &none, &node(), Around::default(), None),
            Fitness::Yes
        );
        let windows = NodeKind {
            platform: "windows".to_owned(),
            ..node()
        };
        let fit = fitness("none", &none, &windows, Around::default(), None);
        assert!(matches!(fit, Fitness::No { .. }), "{fit:?}");
    }

    #[test]
    fn an_old_kernel_that_may_have_backports_is_a_doubt() {
        let of = |os: &str, kernel: &str| NodeKind {
            os: os.to_owned(),
            kernel: kernel.to_owned(),
            ..node()
        };
        let rhel8 = of("Red Hat Enterprise Linux 8.10", "4.18.0-553.el8_10.x86_64");
        assert!(unknown("root", &rhel8).contains("older than 5.13"));
        assert!(no("userns", &rhel8).contains("older than 6.3"));
        let rhel9 = of("Red Hat Enterprise Linux 9.6", "5.14.0-570.el9.x86_64");
        assert!(unknown("userns", &rhel9).contains("older than 6.3"));
        assert!(!unknown("root", &rhel9).contains("older"));
        let focal = of("Ubuntu 20.04.6 LTS", "5.4.0-200-generic");
        assert!(unknown("root", &focal).contains("older than 5.13"));
    }

    #[test]
    fn the_default_handler_decides_and_another_is_named() {
        let kind = NodeKind {
            user_namespaces: false,
            handlers: vec!["crun".to_owned()],
            ..node()
        };
        let reason = no("userns", &kind);
        assert!(
            reason.ends_with("by its default handler, only by crun"),
            "{reason}"
        );
    }
}
