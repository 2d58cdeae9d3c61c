//! The laws of a correction, for generated pods.
//!
//! Two bytes choose the profile and the level. What follows is a pod as JSON,
//! or, where it does not begin with a brace, edits of a real one.

#![no_main]

use admission::decision::{Allowed, Decision, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::profile::BUILT_IN;
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::review::review_of;
use cases::survival::{lost_unknown_field, without_profile_fields};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

mod edits;

const LEVELS: [Option<&str>; 3] = [None, Some("restricted"), Some("privileged")];

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let [profile, level, pod @ ..] = bytes else {
        return Corpus::Reject;
    };
    let (profile, _) = BUILT_IN[usize::from(*profile) % BUILT_IN.len()];
    let level = LEVELS[usize::from(*level) % LEVELS.len()];
    let pod = if pod.first() == Some(&b'{') {
        serde_json::from_slice(pod).ok()
    } else {
        edits::edited(pod).ok()
    };
    match pod {
        Some(pod) => hold(&pod, profile, level),
        None => Corpus::Reject,
    }
});

/// The laws, of which `tests/offline/laws.rs` tests the first two with generated
/// pods.
fn hold(pod: &Value, profile: &str, level: Option<&str>) -> Corpus {
    let labels = [(PROFILE, Some(profile)), (LEVEL, level)];
    let labels = labels.map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    let namespace = Namespace::new("gitlab-ci", labels.into_iter().flatten(), []);
    let body = review_of(pod).to_string();
    let Ok(request) = Request::from_review(body.as_bytes()) else {
        return Corpus::Keep;
    };
    let settings = Settings::built_in();
    let decision = mutate(request.clone(), &namespace, &settings);
    let again = mutate(request.clone(), &namespace, &settings);
    assert_eq!(decision.outcome, again.outcome, "asked twice");
    let judged = validate(request, &namespace, &settings);
    match &decision.outcome {
        Outcome::Mutate(patch) => {
            is_undone(&judged);
            let after = patched(pod, patch);
            is_right(&after, &namespace, profile);
            assert_eq!(lost_unknown_field(pod, &after), None, "{profile}, {pod}");
            // At restricted podseal changes more, and every container.
            if level != Some("restricted") {
                let (before, after) = without_profile_fields(pod, &after, profile);
                assert_eq!(before, after, "{profile}, {pod}");
            }
        }
        Outcome::Deny(denial) => match &judged.outcome {
            Outcome::Deny(judged) => assert_eq!(denial, judged),
            other => panic!("{}, and the judgement: {other:?}", denial.message),
        },
        Outcome::Allow(_) => assert!(judged.changes.is_empty(), "{:?}", judged.changes),
    }
    Corpus::Keep
}

/// What is corrected needs no further patch, and the judgement finds no change
/// that was undone.
fn is_right(pod: &Value, namespace: &Namespace, profile: &str) {
    let settings = Settings::built_in();
    let body = review_of(pod).to_string();
    let request = Request::from_review(body.as_bytes())
        .unwrap_or_else(|error| panic!("{profile}: {error}, in the review of {pod}"));
    let outcome = mutate(request.clone(), namespace, &settings).outcome;
    let right = Outcome::Allow(Allowed::AlreadyRight);
    assert_eq!(outcome, right, "{profile}, {pod}");
    let judged = validate(request, namespace, &settings);
    assert!(judged.changes.is_empty(), "{profile}: {:?}", judged.changes);
}

fn is_undone(judged: &Decision<'_>) {
    match &judged.outcome {
        Outcome::Deny(denial) => assert!(
            denial.message.starts_with("the pod lacks"),
            "{}",
            denial.message
        ),
        other => panic!("a pod that lacks a correction passes: {other:?}"),
    }
}
