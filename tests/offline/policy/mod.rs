//! Levels, modes, grants and the runner's identity, offline: what each profile
//! needs granted, and that nothing else is.

mod grants;
mod modes;
mod runners;
mod updates;

use admission::decision::{Answer, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, RUNNER};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::review::review_of;
use serde_json::Value;

fn namespace(labels: &[(&str, &str)], runner: Option<&str>) -> Namespace {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let runner = runner.map(|users| (RUNNER.to_owned(), users.to_owned()));
    Namespace::new("gitlab-ci", labels.collect::<Vec<_>>(), runner)
}

/// What became of a pod, after both webhooks.
#[derive(Debug, PartialEq)]
pub(crate) struct Fate {
    pub(crate) allowed: bool,
    pub(crate) pod: Value,
    /// The policy's denial, in any mode.
    pub(crate) message: Option<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) warnings_for_creator: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) changes: usize,
}

fn fate_with(review: &Value, namespace: &Namespace, settings: &Settings<'_>) -> Fate {
    let text = review.to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let corrected = mutate(request, namespace, settings);
    let mut review = review.clone();
    if let Answer::Patch(patch) = corrected.answer() {
        review["request"]["object"] = patched(&review["request"]["object"], patch);
    }
    let text = review.to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let judged = validate(request, namespace, settings);
    let denies = |outcome: &Outcome| match outcome {
        Outcome::Deny(denial) => Some(denial.message.clone()),
        _ => None,
    };
    let is_denied = |answer| matches!(answer, Answer::Deny(_));
    let line = |v: &admission::standards::Violation<'_>| {
        format!(
            "{} {} {}",
            v.control.family().name(),
            &*v.container,
            v.value.text()
        )
    };
    Fate {
        allowed: !is_denied(corrected.answer()) && !is_denied(judged.answer()),
        pod: review["request"]["object"].clone(),
        message: denies(&corrected.outcome).or(denies(&judged.outcome)),
        violations: judged.violations.listed.iter().map(line).collect(),
        warnings_for_creator: [
            corrected.warnings_for_creator(),
            judged.warnings_for_creator(),
        ]
        .concat(),
        warnings: judged.warnings().map(str::to_owned).collect(),
        changes: judged.changes.len(),
    }
}

pub(crate) fn fate(pod: &Value, labels: &[(&str, &str)]) -> Fate {
    fate_with(
        &review_of(pod),
        &namespace(labels, None),
        &Settings::built_in(),
    )
}
