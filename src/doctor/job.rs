//! A job's pod, and what podseal makes of it.

use serde_json::{Value, json};

use super::JOB_LABEL;
use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::Namespace;
use admission::namespace::policy::{Policy, Settings};
use admission::pod::Pod;
use admission::request::Request;

/// The pod as the runner creates it, reduced to what marks it as a job's.
pub(super) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "podseal-doctor", "labels": {JOB_LABEL: "podseal-doctor"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "build", "image": "podseal-doctor"},
                {"name": "helper", "image": "podseal-doctor"},
            ],
        },
    })
}

/// The pod that the runner gets in `namespace`, or the sentence of a denial.
pub(super) fn corrected(namespace: &Namespace, settings: &Settings<'_>) -> Result<Value, String> {
    let mut corrected = pod();
    let text = corrected.to_string();
    match decide(&text, namespace, settings) {
        Outcome::Deny(denial) => Err(denial.message),
        Outcome::Allow(_) => Ok(corrected),
        Outcome::Mutate(patch) => match json_patch::patch(&mut corrected, &patch) {
            Ok(()) => Ok(corrected),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Whether podseal corrected `pod`, which the API server returned: whether there is nothing
/// left to correct.
pub(super) fn is_corrected(pod: &Value, namespace: &Namespace, settings: &Settings<'_>) -> bool {
    let outcome = decide(&pod.to_string(), namespace, settings);
    matches!(outcome, Outcome::Allow(Allowed::AlreadyRight))
}

/// What podseal decides of the pod in `text`, if its runner creates it.
fn decide(text: &str, namespace: &Namespace, settings: &Settings<'_>) -> Outcome {
    let Ok(pod) = serde_json::from_str::<Pod<'_>>(text) else {
        return Outcome::Allow(Allowed::NotAPod);
    };
    let mut request = Request::create(pod, &namespace.name);
    let policy = Policy::from_namespace(namespace, settings);
    let runner = policy.as_ref().and_then(Policy::runner);
    request.user_info.username = runner.map(Into::into);
    mutate(request, namespace, settings).outcome
}
