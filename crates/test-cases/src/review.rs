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

/// The review of the creation of `pod`.
pub fn review(uid: &str, namespace: &str, pod: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:gitlab:gitlab-runner"},
            "object": pod,
            "dryRun": false,
        },
    })
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
