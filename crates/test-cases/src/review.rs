//! Reviews, as the API server sends them.

use serde_json::{Value, json};

use crate::fixture;

/// A namespace that opts in, and one that does not.
pub const NAMESPACES: &str = "
kind: Namespace
metadata: {name: ci, labels: {podseal.io/profile: rootless}}
---
kind: Namespace
metadata: {name: plain}
";

/// Names a review where no other name is wanted, and is the audit id of a denial.
pub const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// The review of GitLab Runner creating `pod`.
pub fn review(uid: &str, namespace: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": pod.pointer("/metadata/name"),
            "namespace": namespace,
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

/// The same in a namespace of jobs.
pub fn review_of(pod: &Value) -> Value {
    review(UID, "gitlab-ci", pod)
}

/// The review of a real job pod with a service: 14 kB.
pub fn job_review(uid: &str, namespace: &str) -> String {
    as_sent(&review(uid, namespace, &fixture("default-with-service")))
}

/// A review's text with the uid before the object, where the API server has it.
pub fn as_sent(review: &Value) -> String {
    let request = review["request"].as_object().expect("an object");
    let rest = request.iter().filter(|(key, _)| *key != "uid");
    let rest: Vec<_> = rest
        .map(|(key, value)| format!("{}:{value}", json!(key)))
        .collect();
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":{},{}}}}}"#,
        request["uid"],
        rest.join(",")
    )
}
