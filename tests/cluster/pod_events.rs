//! `--pod-events`: the author of a job sees on its pod what may keep it from running.

use serde_json::{Value, json};
use support::chart::manifests;
use support::controlplane::{ADMIN, PODSEAL, RUNNER, await_condition};
use support::podseal::{Podseal, SITE};
use support::text;

use crate::PLANE;

const NAMESPACE: &str = "pod-events";
const MAY_CREATE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pod-events, namespace: pod-events}
rules:
- {apiGroups: [""], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: pod-events, namespace: pod-events}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pod-events}
subjects: [{kind: User, name: "system:serviceaccount:podseal:podseal"}]
"#;

/// A job whose author is to know that a seccomp profile may keep it from running.
fn job(name: &str, seccomp: Option<&str>) -> Value {
    let mut pod = cases::fixture("default-with-service");
    pod["metadata"]["namespace"] = NAMESPACE.into();
    pod["metadata"]["name"] = name.into();
    if let Some(seccomp) = seccomp {
        pod["spec"]["securityContext"] = json!({"seccompProfile": {"type": seccomp}});
    }
    pod
}

fn events() -> Vec<Value> {
    let args = ["get", "events", "-n", NAMESPACE, "-o", "json"];
    let output = PLANE.kubectl(ADMIN, &args, "");
    let mut list: Value = serde_json::from_slice(&output.stdout).expect("a list");
    match list["items"].take() {
        Value::Array(items) => items,
        other => panic!("{other}"),
    }
}

#[test]
fn a_pod_with_a_caution_has_one_event_and_no_review_waits_for_it() {
    let podseal = Podseal::start(|command| {
        command
            .env("KUBECONFIG", PLANE.kubeconfig(PODSEAL))
            .arg("--pod-events");
    });
    let is_ready = || podseal.status("/readyz").0 == 200;
    await_condition("podseal is ready", is_ready, String::new);
    PLANE.apply(ADMIN, &manifests(&podseal.configurations_for("pod-events")));
    let labels = json!({"podseal.io/profile": "rootless", SITE: "pod-events"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": labels}});
    PLANE.apply(ADMIN, &namespace.to_string());
    let is_corrected = || {
        let (code, pod) = PLANE.try_pod(NAMESPACE, &job("tried", None));
        code == 201 && pod["spec"]["containers"][0]["securityContext"]["runAsUser"] == 1000
    };
    await_condition("the API server asks podseal", is_corrected, String::new);
    let create = |name: &str, seccomp, dry_run: &str| {
        let args = ["create", "-n", NAMESPACE, dry_run, "-f", "-"];
        let output = PLANE.kubectl(RUNNER, &args, &job(name, seccomp).to_string());
        assert!(output.status.success(), "{}", text(&output.stderr));
    };

    // Without the right to create one, the pod is created nevertheless.
    create("not-allowed", Some("RuntimeDefault"), "--dry-run=none");
    podseal.await_metric("podseal_pod_events_total{outcome=\"failed\"}", 1.0);
    let is_failure = |event: &Value| {
        let message = event["message"].as_str();
        message.is_some_and(|message| message.starts_with("cannot create an event on a pod; "))
    };
    let failed = podseal.await_event(is_failure);
    assert_eq!(failed["pod"], "not-allowed");
    let error = failed["error"].as_str().expect("a text");
    assert!(
        error.contains("cannot create resource \"events\""),
        "{error}"
    );
    PLANE.apply(ADMIN, MAY_CREATE);

    create("dry", Some("RuntimeDefault"), "--dry-run=server");
    create("without", None, "--dry-run=none");
    let is_allowed = || {
        let name = format!("with-{}", next());
        create(&name, Some("RuntimeDefault"), "--dry-run=none");
        let count = || podseal.metric("podseal_pod_events_total{outcome=\"created\"}");
        await_condition(
            "the event is created or refused",
            || {
                count() >= Some(1.0)
                    || podseal.metric("podseal_pod_events_total{outcome=\"failed\"}") > Some(1.0)
            },
            String::new,
        );
        count() >= Some(1.0)
    };
    await_condition("the right is granted", is_allowed, String::new);
    let events = events();
    let [event] = events.as_slice() else {
        panic!("one event: {events:#?}");
    };
    let pod = event["involvedObject"]["name"].as_str().expect("a name");
    assert!(pod.starts_with("with-"), "{event:#}");
    let stored = PLANE.stored_pod(NAMESPACE, pod);
    assert_eq!(event["involvedObject"]["uid"], stored["metadata"]["uid"]);
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["reason"], "MayNotRun");
    let message = event["message"].as_str().expect("a text");
    assert!(
        message.contains("cannot clone: Operation not permitted"),
        "{message}"
    );

    // Another call for the same pod, as by a client of the port.
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "again", "operation": "CREATE", "namespace": NAMESPACE,
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "userInfo": {"username": "x"},
        "object": stored}});
    let url = format!("https://{}/validate", podseal.address());
    let client = podseal.client().build().expect("a client");
    let request = client.post(url).body(review.to_string());
    let answer = support::block_on(async { request.send().await.expect("an answer").status() });
    assert_eq!(answer.as_u16(), 200);
    podseal.await_metric("podseal_pod_events_total{outcome=\"existing\"}", 1.0);
    assert_eq!(self::events().len(), 1);
}

fn next() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
