//! The shapes of GitLab Runner's pods, each with each profile.

use admission::decision::Allowed;
use admission::profile::Profiles;
use cases::answer::{Answer, answer_for, corrected, denial};
use cases::fixture;
use cases::refusals::refusals;
use cases::view::containers;

#[test]
fn every_shape_of_a_job_pod_works_with_every_profile() {
    for name in [
        "default-with-service",
        "honor-entrypoint",
        "legacy-exec",
        "native-steps",
        "privileged-nonroot",
        "privileged-with-service",
        "root-fuse",
        "umask-collector",
    ] {
        for profile in Profiles::built_in().iter() {
            let pod = corrected(&fixture(name), &profile.name);
            assert_eq!(refusals(&pod), [""; 0], "{name}, {}", profile.name);
            let count = containers(&pod).count();
            assert_eq!(count, containers(&fixture(name)).count(), "{name}");
        }
    }
}

#[test]
fn a_suspendable_job_works_only_with_profiles_that_leave_it_root() {
    let pod = fixture("suspendable");
    for profile in ["none", "root", "root-fuse"] {
        assert_eq!(refusals(&corrected(&pod, profile)), [""; 0], "{profile}");
    }
    for profile in ["rootless", "openshift", "userns", "privileged"] {
        let message = denial(&pod, profile);
        let why = "container \"build\", securityContext.runAsUser: 1000 is not root, and a \
                   suspendable environment mounts its overlay as root with SYS_ADMIN; ";
        assert!(message.starts_with(why), "{profile}: {message}");
        assert!(
            message.contains("FF_SUSPENDABLE_ENVIRONMENTS to false"),
            "{message}"
        );
    }
}

#[test]
fn pods_that_are_not_linux_jobs_of_a_supported_runner_are_not_changed() {
    for (name, why) in [
        ("windows", Allowed::Windows),
        ("pause-pod", Allowed::NotAJob),
        ("before-17-9", Allowed::NotAJob),
    ] {
        for profile in Profiles::built_in().iter() {
            assert_eq!(
                answer_for(&fixture(name), &profile.name),
                Answer::Untouched(why),
                "{name}"
            );
        }
    }
}
