//! A namespace's settings, on generated profiles and pods.

use admission::decision::Outcome;
use admission::lint::files::read;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::request::Request;
use admission::validate::validate;
use cases::{job_log, pods, profiles};
use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value;

use crate::profile_attacks::{file, review};

const SETTINGS: [&[(&str, &str)]; 5] = [
    &[("podseal.io/run-as-user", "1")],
    &[
        ("podseal.io/run-as-user", "65535"),
        ("podseal.io/home", "/work/home"),
    ],
    &[
        ("podseal.io/home", "/builds/x/"),
        ("podseal.io/fuse-resource", "a.test/fuse"),
    ],
    &[("podseal.io/fuse-resource", "a.test/device")],
    &[
        ("podseal.io/run-as-user", "7"),
        ("podseal.io/fuse-resource", "github.com/fuse"),
    ],
];

#[test]
fn settings_need_one_correction_which_validation_accepts_and_hide_no_violation() {
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = pods::job_pod();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut right, mut denied) = (0, 0);
    for name in profiles::write(folder.path()) {
        let text = std::fs::read_to_string(folder.path().join(format!("{name}.yaml")));
        let text = text.expect("it was written");
        let (known, _) = read(&[file("x.yaml", &text)]).expect("the check accepts it");
        let settings = Settings {
            profiles: &known,
            ..Settings::built_in()
        };
        for level in ["privileged", "baseline", "restricted"] {
            for annotations in SETTINGS {
                let pod = strategy.new_tree(&mut runner).expect("a pod").current();
                let changed = violations(
                    &pod,
                    &[(PROFILE, &name), (LEVEL, level)],
                    annotations,
                    &settings,
                );
                let plain = violations(&pod, &[(PROFILE, &name), (LEVEL, level)], &[], &settings);
                match (changed, plain) {
                    (Some(changed), Some(plain)) => {
                        assert!(
                            changed >= plain,
                            "{changed} < {plain}: {annotations:?}\n{text}"
                        );
                        right += 1;
                    }
                    _ => denied += 1,
                }
            }
        }
    }
    assert!(right > 100, "{right} right, {denied} denied");
}

/// How many violations the corrected pod has; nothing where it is denied.
fn violations(
    pod: &Value,
    labels: &[(&str, &str)],
    annotations: &[(&str, &str)],
    settings: &Settings<'_>,
) -> Option<usize> {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    };
    let namespace = Namespace::new("ci", owned(labels), owned(annotations));
    let body = review(pod, "runner");
    let request = Request::from_review(body.as_bytes()).expect("a review");
    let mut corrected = pod.clone();
    match mutate(request, &namespace, settings).outcome {
        Outcome::Mutate(patch) => json_patch::patch(&mut corrected, &patch).expect("it fits"),
        Outcome::Allow(_) => {}
        Outcome::Deny(denial) => {
            assert_eq!(job_log::unfit(&denial.message), None, "{}", denial.message);
            return None;
        }
    }
    let body = review(&corrected, "runner");
    let request = Request::from_review(body.as_bytes()).expect("a review");
    let judged = validate(request, &namespace, settings);
    assert!(
        judged.changes.is_empty(),
        "{:?} {namespace:?}",
        judged.changes
    );
    Some(judged.violations.count)
}
