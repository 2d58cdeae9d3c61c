//! Which profile works on which kind of node, by what the API tells of it.

use serde::Serialize;

use super::needs::Needs;
use super::node_kind::{Known, NodeKind};
use super::trial::observation::Observation;
use super::trial::{Outcome, Trial};
use crate::symptoms::{JOB_LOG, KUBERNETES_DENIED, NOT_ASKED, plain};

/// Whether a profile works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "works", content = "reason")]
pub enum Fitness {
    /// It does.
    Yes,
    /// It does not, and why.
    No(String),
    /// Nobody knows before a job was tried, and what may prevent it.
    Unknown(String),
}

impl Fitness {
    /// In one character.
    pub fn mark(&self) -> &'static str {
        match self {
            Fitness::Yes => "✓",
            Fitness::No(_) => "✗",
            Fitness::Unknown(_) => "?",
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
        return Fitness::No("jobs on Windows are not corrected".to_owned());
    }
    if !needs.podman {
        return Fitness::Yes;
    }
    if let Some(reason) = missing(needs, kind, around) {
        return Fitness::No(reason);
    }
    if let Some(trial) = tried {
        return by_trial(profile, needs, trial);
    }
    let doubts = doubts(needs, kind);
    match doubts.is_empty() {
        true => Fitness::Unknown("nothing that the API tells prevents it".to_owned()),
        false => Fitness::Unknown(doubts.join("; ")),
    }
}

/// What certainly prevents it.
fn missing(needs: &Needs, kind: &NodeKind, around: Around) -> Option<String> {
    let older = |version: Option<(u32, u32)>, than| version.is_some_and(|own| own < than);
    let kernel = kind.kernel_version();
    if needs.openshift && !around.is_openshift {
        return Some("this cluster is not OpenShift".to_owned());
    }
    // Kubernetes, "User Namespaces", v1.37: beta and on by default since 1.33.
    if needs.user_namespace && older(kind.kubelet_version(), (1, 33)) {
        return Some(format!("kubelet {} is older than 1.33", kind.kubelet));
    }
    if needs.user_namespace && older(kernel, (6, 3)) {
        return Some(format!("Linux {} is older than 6.3", kind.kernel));
    }
    if needs.user_namespace && !kind.user_namespaces {
        return Some(format!("{} has no user namespaces for pods", kind.runtime));
    }
    if needs.native_overlay && older(kernel, (5, 13)) {
        return Some(format!(
            "Linux {} is older than 5.13: no overlay mounts in user namespaces",
            kind.kernel
        ));
    }
    let mut absent = needs
        .resources
        .iter()
        .filter(|name| !kind.resources.contains(name));
    if let Some(name) = absent.next() {
        return Some(format!("no device plugin offers {name}"));
    }
    if needs.no_default_seccomp && kind.seccomp_default == Some(true) {
        return Some("the kubelet's seccompDefault is on".to_owned());
    }
    None
}

/// Whether it works, by a pod that was tried: with this profile, or with another.
fn by_trial(profile: &str, needs: &Needs, trial: &Trial) -> Fitness {
    if trial.profile == profile {
        return match &trial.outcome {
            Outcome::Built => Fitness::Yes,
            Outcome::Failed { message, symptom } => Fitness::No(cause(message, *symptom)),
        };
    }
    let Some(seen) = &trial.observation else {
        return Fitness::Unknown(format!("the pod with {} did not start", trial.profile));
    };
    match obstacle(needs, seen) {
        Some(obstacle) => Fitness::No(obstacle.to_owned()),
        None => Fitness::Yes,
    }
}

/// The cause that troubleshooting has, or else the message itself.
fn cause(message: &str, symptom: Option<&str>) -> String {
    let mut all = [JOB_LOG, KUBERNETES_DENIED, NOT_ASKED]
        .into_iter()
        .flatten();
    let found = symptom.and_then(|id| all.find(|symptom| symptom.id == id));
    match found {
        Some(symptom) => format!("{message}: {}", plain(symptom.cause)),
        None => message.to_owned(),
    }
}

/// What a pod that was tried saw to prevent it.
fn obstacle(needs: &Needs, seen: &Observation) -> Option<&'static str> {
    let obstacles = [
        (seen.no_user_namespaces, "user.max_user_namespaces is 0"),
        (
            seen.restricted_user_namespaces,
            "a sysctl restricts user namespaces of unprivileged processes",
        ),
        (
            seen.seccomp && needs.no_default_seccomp,
            "the default seccomp profile denies user namespaces",
        ),
        (
            seen.apparmor && needs.no_default_apparmor,
            "AppArmor's default profile denies mounts",
        ),
        (
            seen.selinux && needs.no_default_selinux,
            "SELinux' default type denies mounts",
        ),
        (
            seen.setuid_newuidmap && needs.newuidmap,
            "newuidmap of the image is setuid, without file capabilities",
        ),
    ];
    let found = obstacles.into_iter().find(|(applies, _)| *applies);
    found.map(|(_, obstacle)| obstacle)
}

/// What may prevent it, as this system is known.
fn doubts(needs: &Needs, kind: &NodeKind) -> Vec<String> {
    let Known {
        apparmor,
        selinux,
        no_user_namespaces,
        restricted_user_namespaces,
        seccomp_default,
    } = kind.known();
    let doubts = [
        (
            no_user_namespaces,
            "user.max_user_namespaces is 0 by default",
        ),
        (
            restricted_user_namespaces,
            "kernel.apparmor_restrict_unprivileged_userns is 1 by default",
        ),
        (
            apparmor && needs.no_default_apparmor,
            "AppArmor's default profile denies mounts",
        ),
        (
            selinux && needs.no_default_selinux,
            "SELinux' default type denies mounts, where the runtime uses it",
        ),
        (
            seccomp_default && needs.no_default_seccomp && kind.seccomp_default.is_none(),
            "seccompDefault is on by default",
        ),
    ];
    let doubts = doubts.into_iter().filter(|(applies, _)| *applies);
    doubts.map(|(_, doubt)| doubt.to_owned()).collect()
}

#[cfg(test)]
mod tests {
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
            seccomp_default: Some(false),
            resources: vec!["github.com/fuse".to_owned()],
            taints: Vec::new(),
        }
    }

    /// The reason why a profile does not work on a kind of node.
    fn no(profile: &str, kind: &NodeKind) -> String {
        match fitness(profile, &needs(profile), kind, Around::default(), None) {
            Fitness::No(reason) => reason,
            other => panic!("{profile} on {kind:?}: {other:?}"),
        }
    }

    fn unknown(profile: &str, kind: &NodeKind) -> String {
        match fitness(profile, &needs(profile), kind, Around::default(), None) {
            Fitness::Unknown(reason) => reason,
            other => panic!("{profile} on {kind:?}: {other:?}"),
        }
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
        assert!(matches!(fit, Fitness::No(_)), "{fit:?}");
    }

    fn tried(profile: &str, observation: Observation, outcome: Outcome) -> Trial {
        Trial {
            node: "a".to_owned(),
            profile: profile.to_owned(),
            observation: Some(observation),
            outcome,
        }
    }

    #[test]
    fn a_trial_turns_each_doubt_into_a_verdict() {
        let fit = |profile: &str, trial: &Trial| {
            fitness(
                profile,
                &needs(profile),
                &node(),
                Around::default(),
                Some(trial),
            )
        };
        let plain = tried("root", Observation::default(), Outcome::Built);
        for profile in ["userns", "rootless", "root", "root-fuse", "privileged"] {
            assert_eq!(fit(profile, &plain), Fitness::Yes, "{profile}");
        }
        let setuid = Observation {
            setuid_newuidmap: true,
            ..Observation::default()
        };
        let setuid = tried("root", setuid, Outcome::Built);
        assert_eq!(fit("root", &setuid), Fitness::Yes);
        assert!(
            matches!(fit("rootless", &setuid), Fitness::No(reason) if reason.contains("setuid"))
        );
        let apparmor = Observation {
            apparmor: true,
            ..Observation::default()
        };
        let failed = Outcome::Failed {
            message: "mount /a: permission denied".to_owned(),
            symptom: Some("mount-denied"),
        };
        let confined = tried("root", apparmor, failed);
        assert!(
            matches!(fit("root", &confined), Fitness::No(reason) if reason.contains("AppArmor"))
        );
        assert!(matches!(fit("rootless", &confined), Fitness::No(_)));
        assert_eq!(fit("privileged", &confined), Fitness::Yes);
    }
}
