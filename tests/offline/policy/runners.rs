//! Which pods are jobs, and that only they are corrected and granted anything.

use admission::decision::Outcome;
use admission::namespace::policy::Settings;
use admission::namespace::{PROFILE, RUNNER};
use admission::request::Request;
use admission::validate::validate;
use cases::fixture;
use cases::fixtures::job_without_services;
use cases::review::review_of;

use super::{fate, fate_with, namespace};

#[test]
fn only_the_named_runner_gets_a_correction_and_a_grant() {
    let pod = fixture("privileged-with-service");
    let named = |users| namespace(&[(PROFILE, "privileged")], Some(users));
    let settings = Settings::built_in();
    let ours = "someone, system:serviceaccount:gitlab:gitlab-runner";
    let runners = fate_with(&review_of(&pod), &named(ours), &settings);
    assert!(
        runners.allowed && runners.warnings.is_empty(),
        "{runners:?}"
    );
    let other = fate_with(
        &review_of(&pod),
        &named("system:serviceaccount:other:runner"),
        &settings,
    );
    assert!(
        !other.allowed && other.pod == pod,
        "no correction, no grant"
    );
    assert_eq!(
        other.violations.len(),
        4,
        "all four containers: {:?}",
        other.violations
    );
}

#[test]
fn labels_alone_are_warned_of_if_they_grant_more_than_baseline_and_denied_if_configured() {
    let pod = fixture("privileged-with-service");
    let namespace = namespace(&[(PROFILE, "privileged")], None);
    let trusted = fate_with(&review_of(&pod), &namespace, &Settings::built_in());
    assert!(trusted.allowed);
    assert!(
        trusted.warnings.iter().any(|w| w.contains(RUNNER)),
        "{:?}",
        trusted.warnings
    );
    let strict = Settings {
        require_runner: true,
        ..Settings::built_in()
    };
    let fate = fate_with(&review_of(&pod), &namespace, &strict);
    let message = fate.message.expect("a denial");
    assert!(
        message.contains(RUNNER) && message.contains("gitlab-runner"),
        "{message}"
    );
    let rootless = self::namespace(&[(PROFILE, "rootless")], None);
    assert!(
        fate_with(&review_of(&job_without_services()), &rootless, &strict).allowed,
        "nothing to trust"
    );
}

#[test]
fn a_change_that_another_webhook_reverted_is_rejected_with_that_reason() {
    let pod = job_without_services();
    let namespace = namespace(&[(PROFILE, "userns")], None);
    let corrected = fate_with(&review_of(&pod), &namespace, &Settings::built_in()).pod;
    let mut taken = corrected.clone();
    taken["spec"]
        .as_object_mut()
        .expect("spec")
        .remove("hostUsers");
    let text = review_of(&taken).to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let settings = Settings::built_in();
    let Outcome::Deny(denial) = validate(request, &namespace, &settings).outcome else {
        panic!("it is rejected");
    };
    assert!(
        denial
            .message
            .starts_with("the pod lacks what its profile sets: pod: hostUsers set to false;"),
        "{}",
        denial.message
    );
}

#[test]
fn a_mirror_pod_gets_no_correction_and_no_grant() {
    let mut pod = fixture("privileged-with-service");
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x".into();
    let fate = fate(&pod, &[(PROFILE, "privileged")]);
    assert!(!fate.allowed && fate.pod == pod);
}
