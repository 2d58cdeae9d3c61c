//! Which profile works, by a pod that was tried: with this profile, or with another.

use super::fitness::Fitness;
use super::needs::Needs;
use super::trial::observation::{Newuidmap, Observation};
use super::trial::{Outcome, Trial};
use crate::symptoms::{JOB_LOG, KUBERNETES_DENIED, NOT_ASKED, Symptom, plain};

/// Whether `profile` works, with what may prevent it by the API.
pub(super) fn of(profile: &str, needs: &Needs, trial: &Trial, mut doubts: Vec<String>) -> Fitness {
    if trial.profile == profile {
        return of_own(trial);
    }
    let Some(seen) = &trial.observation else {
        return not_tried(trial, doubts);
    };
    if let Some((reason, page)) = obstacle(needs, trial, seen) {
        return Fitness::no(reason, page);
    }
    if trial.outcome == Outcome::Built && proves(trial, seen, needs) {
        return Fitness::Yes;
    }
    let lacks_ids = needs.uid == Some(1000) && !seen.subuid;
    if lacks_ids {
        doubts.push("the image has no ids for uid 1000 in /etc/subuid".to_owned());
    }
    not_tried(trial, doubts)
}

/// By a pod with the same profile.
fn of_own(trial: &Trial) -> Fitness {
    match &trial.outcome {
        Outcome::Built => Fitness::Yes,
        Outcome::Failed { message, symptom } => {
            let seen = trial.observation.as_ref();
            // What the pod saw says which of a symptom's causes it is.
            if let Some((reason, page)) = seen.and_then(|seen| obstacle(&trial.needs, trial, seen))
            {
                return Fitness::no(format!("{reason}: {message}"), page);
            }
            let symptom = symptom_of(*symptom);
            let page = symptom.map_or_else(|| PAGE.to_owned(), Symptom::page);
            Fitness::no(cause(message, symptom), page)
        }
        Outcome::NotTried { message, symptom } => {
            let cause = cause(message, symptom_of(*symptom));
            Fitness::unknown(format!("not tried: {cause}"))
        }
    }
}

/// The page on jobs that fail.
const PAGE: &str = "docs/troubleshooting.md";

fn not_tried(trial: &Trial, doubts: Vec<String>) -> Fitness {
    let how = match trial.outcome {
        Outcome::Built => "",
        Outcome::Failed { .. } => ", which failed",
        Outcome::NotTried { .. } => ", which did not get to build",
    };
    let mut reasons = doubts;
    reasons.push(format!("only {} was tried{how}", trial.profile));
    Fitness::unknown(reasons.join("; "))
}

/// Whether a pod with `needs` builds where that of a trial did: whether it is confined by no
/// more, and needs nothing else.
fn proves(trial: &Trial, seen: &Observation, needs: &Needs) -> bool {
    let tried = &trial.needs;
    let is_alike = tried.user_namespace == needs.user_namespace
        && tried.native_overlay == needs.native_overlay
        && tried.openshift == needs.openshift
        && tried.runtime_class == needs.runtime_class;
    let mut resources = needs.resources.iter();
    let has_resources = resources.all(|name| tried.resources.contains(name));
    let is_less_confined = !tried.privileged
        && needs.named.is_subset(&tried.named)
        && (tried.no_default_seccomp || !needs.no_default_seccomp)
        && (tried.no_default_apparmor || !needs.no_default_apparmor)
        && (tried.no_default_selinux || !needs.no_default_selinux);
    // Root maps ids by itself. Another user takes newuidmap, and ids of its own.
    let has_newuidmap = match seen.newuidmap {
        Newuidmap::Plain => true,
        Newuidmap::Setuid => needs.privileged,
        Newuidmap::Bare | Newuidmap::None => false,
    };
    let has_ids = needs.uid == Some(0)
        || needs.uid == tried.uid
        || needs.uid == Some(1000) && seen.subuid && has_newuidmap;
    is_alike && has_resources && is_less_confined && has_ids
}

/// What a pod that was tried saw to prevent it for certain.
fn obstacle(
    needs: &Needs,
    trial: &Trial,
    seen: &Observation,
) -> Option<(&'static str, &'static str)> {
    const SYSCTLS: &str = "docs/nodes.md#sysctls";
    const CONFINED: &str = "docs/nodes.md#apparmor-and-seccomp";
    const SELINUX: &str = "docs/nodes.md#selinux";
    const NEWUIDMAP: &str = "docs/profiles.md#rootless";
    let tried = &trial.needs;
    let is_built = trial.outcome == Outcome::Built;
    // A pod in a user namespace of its own reads the limit of that one.
    let by_sysctl = needs.own_user_namespace
        && !tried.user_namespace
        && !(is_built && tried.own_user_namespace);
    let may_by_apparmor = needs
        .named
        .iter()
        .any(|name| name.starts_with("appArmorProfile"));
    // The confinement of a pod is that of another if both have the node's default, and the
    // cause of a failure if that looks like it.
    let failed_by = |id: &str| matches!(trial.outcome, Outcome::Failed { symptom: Some(symptom), .. } if symptom == id);
    let obstacles = [
        (
            by_sysctl && seen.no_user_namespaces,
            "user.max_user_namespaces is 0",
            SYSCTLS,
        ),
        (
            by_sysctl && seen.restricted_user_namespaces && !may_by_apparmor,
            "a sysctl restricts user namespaces of unprivileged processes",
            SYSCTLS,
        ),
        (
            seen.seccomp
                && failed_by("user-namespaces-denied")
                && tried.no_default_seccomp
                && needs.no_default_seccomp,
            "the default seccomp profile denies user namespaces",
            CONFINED,
        ),
        (
            seen.apparmor
                && failed_by("mount-denied")
                && tried.no_default_apparmor
                && needs.no_default_apparmor,
            "AppArmor's default profile denies mounts",
            CONFINED,
        ),
        (
            seen.selinux
                && failed_by("mount-denied")
                && tried.no_default_selinux
                && needs.no_default_selinux,
            "SELinux' default type denies mounts",
            SELINUX,
        ),
        (
            needs.newuidmap && seen.newuidmap == Newuidmap::Setuid,
            "newuidmap of the image is setuid, without file capabilities",
            NEWUIDMAP,
        ),
        (
            needs.newuidmap && seen.newuidmap == Newuidmap::Bare,
            "newuidmap of the image has no file capabilities",
            NEWUIDMAP,
        ),
        (
            needs.newuidmap && seen.newuidmap == Newuidmap::None,
            "the image has no newuidmap",
            NEWUIDMAP,
        ),
    ];
    let found = obstacles.into_iter().find(|(applies, ..)| *applies);
    found.map(|(_, obstacle, page)| (obstacle, page))
}

fn symptom_of(id: Option<&str>) -> Option<&'static Symptom> {
    let mut all = [JOB_LOG, KUBERNETES_DENIED, NOT_ASKED]
        .into_iter()
        .flatten();
    id.and_then(|id| all.find(|symptom| symptom.id == id))
}

/// The message, with the cause that troubleshooting has.
fn cause(message: &str, symptom: Option<&Symptom>) -> String {
    match symptom {
        Some(symptom) => format!("{message}: {}", plain(symptom.cause)),
        None => message.to_owned(),
    }
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

    /// A node and an image without an obstacle.
    fn plain_node() -> Observation {
        Observation {
            subuid: true,
            ..Observation::default()
        }
    }

    fn tried(profile: &str, observation: Observation, outcome: Outcome) -> Trial {
        Trial {
            node: "a".to_owned(),
            profile: profile.to_owned(),
            needs: needs(profile),
            observation: Some(observation),
            outcome,
            left: None,
        }
    }

    fn failed(symptom: Option<&'static str>) -> Outcome {
        Outcome::Failed {
            message: "it failed".to_owned(),
            symptom,
        }
    }

    fn fit(profile: &str, trial: &Trial) -> Fitness {
        of(profile, &needs(profile), trial, Vec::new())
    }

    fn works(profile: &str, trial: &Trial) -> &'static str {
        fit(profile, trial).mark()
    }

    #[test]
    fn what_a_pod_saw_says_why_its_own_build_failed() {
        let setuid = Observation {
            newuidmap: Newuidmap::Setuid,
            ..plain_node()
        };
        let trial = tried("rootless", setuid, failed(Some("newuidmap")));
        let fitness = fit("rootless", &trial);
        assert!(
            matches!(&fitness, Fitness::No { reason, .. } if reason.starts_with("newuidmap of the image is setuid")),
            "{fitness:?}"
        );
    }

    #[test]
    fn a_build_proves_what_is_confined_by_no_more_and_needs_nothing_else() {
        let root = tried("root", plain_node(), Outcome::Built);
        for (profile, mark) in [
            ("root", "✓"),
            ("rootless", "✓"),
            ("privileged", "✓"),
            // No pod in a user namespace ran, nor fuse-overlayfs.
            ("userns", "?"),
            ("root-fuse", "?"),
        ] {
            assert_eq!(works(profile, &root), mark, "{profile}");
        }
        let rootless = tried("rootless", plain_node(), Outcome::Built);
        assert_eq!(works("root", &rootless), "✓");
        let userns = tried("userns", plain_node(), Outcome::Built);
        assert_eq!(works("rootless", &userns), "?");
    }

    #[test]
    fn a_privileged_pod_proves_nothing_of_another() {
        let privileged = tried("privileged", plain_node(), Outcome::Built);
        assert_eq!(works("privileged", &privileged), "✓");
        for profile in ["root", "rootless", "userns", "root-fuse"] {
            assert_eq!(works(profile, &privileged), "?", "{profile}");
        }
    }

    #[test]
    fn a_build_that_failed_for_a_reason_unknown_proves_nothing_of_another_profile() {
        let root = tried("root", plain_node(), failed(None));
        assert_eq!(works("root", &root), "✗");
        for profile in ["rootless", "userns", "privileged"] {
            assert_eq!(works(profile, &root), "?", "{profile}");
        }
    }

    #[test]
    fn what_was_not_tried_is_unknown_with_the_reason() {
        let outcome = Outcome::NotTried {
            message: "Pending ErrImagePull".to_owned(),
            symptom: None,
        };
        let trial = Trial {
            observation: None,
            ..tried("root", plain_node(), outcome)
        };
        let own = Fitness::unknown("not tried: Pending ErrImagePull");
        assert_eq!(fit("root", &trial), own);
        assert_eq!(works("rootless", &trial), "?");
    }

    #[test]
    fn newuidmap_of_the_image_decides_for_who_is_not_root() {
        for (newuidmap, mark) in [
            (Newuidmap::Setuid, "✗"),
            (Newuidmap::Bare, "✗"),
            (Newuidmap::None, "✗"),
            (Newuidmap::Plain, "✓"),
        ] {
            let seen = Observation {
                newuidmap,
                ..plain_node()
            };
            let root = tried("root", seen, Outcome::Built);
            assert_eq!(works("root", &root), "✓");
            assert_eq!(works("rootless", &root), mark, "{newuidmap:?}");
        }
        let no_ids = tried("root", Observation::default(), Outcome::Built);
        assert_eq!(works("rootless", &no_ids), "?");
    }

    #[test]
    fn an_obstacle_is_one_of_a_profile_that_is_confined_alike() {
        let apparmor = Observation {
            apparmor: true,
            ..plain_node()
        };
        let denied = tried("root", apparmor.clone(), failed(Some("mount-denied")));
        assert_eq!(works("rootless", &denied), "✗");
        assert_eq!(works("privileged", &denied), "?");
        // It failed for another reason, so AppArmor's profile may allow mounts.
        let other = tried("root", apparmor, failed(Some("registry-login")));
        assert_eq!(works("rootless", &other), "?");
        let sysctl = Observation {
            no_user_namespaces: true,
            ..plain_node()
        };
        let sysctl = tried("root", sysctl, failed(None));
        assert_eq!(works("privileged", &sysctl), "✗");
        let localhost = Needs {
            named: ["appArmorProfile x".to_owned()].into(),
            ..needs("root")
        };
        let restricted = Observation {
            restricted_user_namespaces: true,
            ..plain_node()
        };
        let restricted = tried("root", restricted, failed(None));
        assert_eq!(works("rootless", &restricted), "✗");
        assert_eq!(of("own", &localhost, &restricted, Vec::new()).mark(), "?");
    }
}
