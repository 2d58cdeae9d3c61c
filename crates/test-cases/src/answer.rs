//! podseal's responses for a pod, called as the API server calls it: as the bytes
//! of an `AdmissionReview`.

use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::request::{Request, RequestError};
use json_patch::Patch;
use serde_json::Value;

use crate::review::review_of;

/// An answer, reduced to what the API server acts on.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The pod passes as it is.
    Untouched(Allowed),
    /// The pod passes with this patch.
    Patch(Patch),
    /// The pod does not pass; the message as its author reads it.
    Denial(String),
}

/// The response to the review in `body`, in a namespace with the profile label
/// `label`.
pub fn answer_to(body: &[u8], label: &str) -> Result<Answer, RequestError> {
    answer_by(body, &[(PROFILE, label)])
}

/// The answer for `pod` under `profile`, in a namespace at `level`.
pub fn answer_at(pod: &Value, profile: &str, level: &str) -> Answer {
    let body = review_of(pod).to_string();
    answer_by(body.as_bytes(), &[(PROFILE, profile), (LEVEL, level)])
        .unwrap_or_else(|error| panic!("{error}, in the review of {pod}"))
}

fn answer_by(body: &[u8], labels: &[(&str, &str)]) -> Result<Answer, RequestError> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let namespace = Namespace::new("gitlab-ci", labels.iter().map(owned), []);
    let request = Request::from_review(body)?;
    let decision = mutate(request, &namespace, &Settings::built_in());
    Ok(match decision.outcome {
        Outcome::Allow(why) => Answer::Untouched(why),
        Outcome::Mutate(patch) => Answer::Patch(patch),
        Outcome::Deny(denial) => Answer::Denial(denial.message),
    })
}

/// The answer for `pod` under `profile`.
pub fn answer_for(pod: &Value, profile: &str) -> Answer {
    let body = review_of(pod).to_string();
    answer_to(body.as_bytes(), profile)
        .unwrap_or_else(|error| panic!("{error}, in the review of {pod}"))
}

/// `pod` as it is stored under `profile`.
pub fn corrected(pod: &Value, profile: &str) -> Value {
    match answer_for(pod, profile) {
        Answer::Untouched(_) => pod.clone(),
        Answer::Patch(patch) => patched(pod, &patch),
        Answer::Denial(message) => panic!("{profile} denies the pod: {message}"),
    }
}

/// The sentence with which `pod` is denied under `profile`.
pub fn denial(pod: &Value, profile: &str) -> String {
    match answer_for(pod, profile) {
        Answer::Denial(message) => message,
        answer => panic!("{profile} admits the pod: {answer:?}"),
    }
}

/// `pod` with `patch` applied after a trip through its bytes, as the API
/// server receives it.
pub fn patched(pod: &Value, patch: &Patch) -> Value {
    let bytes = serde_json::to_vec(patch).expect("a patch is JSON");
    let patch: Patch = serde_json::from_slice(&bytes).expect("a patch can be read back");
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch)
        .unwrap_or_else(|error| panic!("{error}, applying {patch} to {pod}"));
    pod
}
