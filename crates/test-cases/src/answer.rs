//! What podseal answers for a pod, asked the way the API server asks: as the
//! bytes of an `AdmissionReview`.

use admission::policy::{LEVEL, Namespace, PROFILE, Settings};
use admission::request::{Request, RequestError};
use admission::review::{Allowed, Outcome, correct};
use json_patch::Patch;
use serde_json::{Value, json};

/// Names the review, and is the audit id of a denial.
pub const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

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

/// The review of creating `pod`.
pub fn review_of(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": pod.pointer("/metadata/name"),
            "namespace": "gitlab-ci",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:gitlab:gitlab-runner",
                "groups": ["system:serviceaccounts", "system:authenticated"],
            },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// The answer to the review in `body`, in a namespace whose label says `label`.
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
    let decision = correct(request, &namespace, &Settings::built_in());
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

/// The containers of `pod`, the init containers first.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten()
}

/// The container called `name`, in either list.
pub fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    containers(pod)
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("there is a container {name} in {pod}"))
}

/// The same, to be changed.
pub fn container_mut<'p>(pod: &'p mut Value, name: &str) -> &'p mut Value {
    let spec = pod["spec"].as_object_mut().expect("a pod has a spec");
    spec.iter_mut()
        .filter(|(key, _)| key.ends_with("ontainers"))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("there is a container {name}"))
}

/// What holds for a field of `securityContext`: the container's own word, or
/// the pod's.
pub fn effective<'p>(pod: &'p Value, container: &'p Value, field: &str) -> &'p Value {
    match &container["securityContext"][field] {
        Value::Null => &pod["spec"]["securityContext"][field],
        own => own,
    }
}

/// The `HOME` a container starts with: of a repeated name the last counts.
pub fn home(container: &Value) -> Option<&str> {
    let env = container["env"].as_array()?;
    let var = env.iter().rev().find(|var| var["name"] == "HOME")?;
    var["value"].as_str()
}

/// The name of the volume mounted at exactly `path`.
pub fn volume_at<'p>(container: &'p Value, path: &str) -> Option<&'p str> {
    let mounts = container["volumeMounts"].as_array()?;
    let mount = mounts.iter().find(|mount| mount["mountPath"] == path)?;
    mount["name"].as_str()
}

/// The volume of `pod` called `name`.
pub fn volume<'p>(pod: &'p Value, name: &str) -> Option<&'p Value> {
    let volumes = pod["spec"]["volumes"].as_array()?;
    volumes.iter().find(|volume| volume["name"] == name)
}
