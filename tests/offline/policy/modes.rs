//! What each mode enforces and reports.

use admission::namespace::{LEVEL, MODE, PROFILE};
use cases::fixture;
use cases::fixtures::job_without_services;
use cases::view::container_mut;
use serde_json::json;

use super::fate;

#[test]
fn warn_corrects_and_admits_and_warns_of_what_enforce_would_deny() {
    let pod = fixture("privileged-with-service");
    let fate = fate(&pod, &[(PROFILE, "rootless"), (MODE, "warn")]);
    assert!(fate.allowed && fate.message.is_some() && fate.pod != pod);
    assert_eq!(
        fate.warnings_for_creator,
        [
            "podseal would deny this: container \"docker\", securityContext.privileged: true is \
          forbidden by the control privileged"
        ]
    );
}

#[test]
fn audit_changes_nothing_and_validates_the_pod_as_it_would_have_been_corrected() {
    let pod = fixture("privileged-with-service");
    let fate = fate(&pod, &[(PROFILE, "rootless"), (MODE, "audit")]);
    assert!(fate.allowed && fate.pod == pod && fate.warnings_for_creator.is_empty());
    assert_eq!(
        fate.violations,
        ["privileged docker true"],
        "not those the correction repairs"
    );
    assert!(fate.changes > 5, "and the correction is recorded too");
}

#[test]
fn no_policy_denial_is_enforced_in_warn_or_audit() {
    let mut dangerous = job_without_services();
    let env = container_mut(&mut dangerous, "build")["env"]
        .as_array_mut()
        .expect("env");
    env.push(json!({"name": "HOME", "value": "/etc"}));
    for mode in ["warn", "audit"] {
        for (pod, profile) in [
            (&dangerous, "rootless"),
            (&job_without_services(), "no-such-profile"),
        ] {
            let fate = fate(pod, &[(PROFILE, profile), (MODE, mode)]);
            assert!(fate.allowed && fate.message.is_some(), "{profile} {mode}");
            assert_eq!(
                fate.warnings_for_creator.is_empty(),
                mode == "audit",
                "{:?}",
                fate.warnings_for_creator
            );
        }
    }
}

#[test]
fn a_misspelt_label_is_in_a_warning_and_the_record_and_in_audit_only_in_the_record() {
    let pod = fixture("default-with-service");
    let warning = "label podseal.io/levle has no effect; did you mean podseal.io/level?";
    for mode in ["enforce", "warn", "audit"] {
        let labels = [
            (PROFILE, "rootless"),
            (MODE, mode),
            ("podseal.io/levle", "restricted"),
        ];
        let fate = fate(&pod, &labels);
        assert_eq!(fate.warnings, [warning], "{mode}");
        let expected = if mode == "audit" { 0 } else { 2 };
        assert_eq!(
            fate.warnings_for_creator
                .iter()
                .filter(|shown| *shown == warning)
                .count(),
            expected,
            "{mode}: by each webhook"
        );
    }
}

#[test]
fn a_denial_says_where_the_level_comes_from_and_an_invalid_label_is_to_be_corrected() {
    for (labels, source, remedy) in [
        (
            &[][..],
            "label podseal.io/level is not set",
            "change the pod, or ask",
        ),
        (
            &[(LEVEL, "baseline")][..],
            "label podseal.io/level",
            "change the pod, or ask",
        ),
        (
            &[(LEVEL, "basline")][..],
            "label podseal.io/level is invalid",
            "correct the label podseal.io/level, or ask",
        ),
    ] {
        let mut pod = job_without_services();
        pod["metadata"]["labels"] = json!({});
        pod["spec"]["hostPID"] = true.into();
        let labels = [&[(PROFILE, "privileged")], labels].concat();
        let message = fate(&pod, &labels).message.expect("a denial");
        let source =
            format!(" ({source}; podseal.io/profile: \"privileged\"); to fix this, {remedy} ");
        assert!(message.contains(&source), "{message}");
    }
}
