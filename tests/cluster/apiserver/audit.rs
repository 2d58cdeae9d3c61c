//! Decisions in the API server's own audit log, under the webhooks' names.

use serde_json::{Value, json};
use support::controlplane::await_condition;

use crate::apiserver::{CLUSTER, fixture};

/// The audit event of creating a pod in `namespace`, other than the probe.
fn event_in(namespace: &str) -> Value {
    let mut found = Value::Null;
    let is_logged = || {
        let events = CLUSTER.plane.audit_events();
        let event = events.into_iter().find(|event| {
            event["objectRef"]["namespace"] == namespace
                && event["verb"] == "create"
                && event["objectRef"]["name"] != "probe"
        });
        found = event.unwrap_or_default();
        !found.is_null()
    };
    await_condition("the API server audits the request", is_logged, String::new);
    found
}

fn with_host_pid() -> Value {
    let mut pod = fixture("default-with-service");
    pod["spec"]["hostPID"] = true.into();
    pod
}

#[test]
fn a_rejection_and_the_correction_before_it_are_in_the_api_servers_audit_log() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let (code, status) = CLUSTER.plane.create_pod(&namespace, &with_host_pid());
    assert_eq!(code, 403, "{status:#}");
    let event = event_in(&namespace);
    assert_eq!(event["responseStatus"]["code"], 403, "{event:#}");
    let annotations = &event["annotations"];
    for (key, value) in [
        ("mutate.podseal.io/decision", "mutate"),
        ("mutate.podseal.io/profile", "rootless"),
        ("validate.podseal.io/decision", "deny"),
        ("validate.podseal.io/profile", "rootless"),
        ("validate.podseal.io/level", "baseline"),
        ("validate.podseal.io/mode", "enforce"),
        ("validate.podseal.io/violations", "hostNamespaces"),
    ] {
        assert_eq!(annotations[key], value, "{key}: {event:#}");
    }
    let changes = annotations["mutate.podseal.io/changes"].as_str();
    let change = "container build: securityContext.runAsUser set to 1000";
    assert!(changes.is_some_and(|c| c.contains(change)), "{event:#}");
    let sentence = annotations["validate.podseal.io/message"].as_str();
    let sentence = sentence.expect("a message");
    let message = status["message"].as_str().expect("a message");
    assert!(message.ends_with(sentence), "{message}\n{sentence}");
    // By this uid the API server's event and podseal's record find each other.
    let uid = &annotations["validate.podseal.io/uid"];
    let record = CLUSTER.podseal.await_event(|event| event["uid"] == *uid);
    assert_eq!(record["message"], sentence, "{record:#}");
}

#[test]
fn what_mode_audit_would_have_rejected_is_in_the_api_servers_audit_log() {
    let labels = [("profile", "rootless"), ("mode", "audit")];
    let namespace = CLUSTER.namespace_with(&labels, &[]);
    let (code, pod) = CLUSTER.plane.create_pod(&namespace, &with_host_pid());
    assert_eq!((code, &pod["spec"]["hostPID"]), (201, &json!(true)));
    let event = event_in(&namespace);
    assert_eq!(event["responseStatus"]["code"], 201, "{event:#}");
    for (key, value) in [
        ("mutate.podseal.io/decision", "mutate"),
        ("mutate.podseal.io/mode", "audit"),
        ("validate.podseal.io/decision", "deny"),
        ("validate.podseal.io/mode", "audit"),
        ("validate.podseal.io/violations", "hostNamespaces"),
    ] {
        assert_eq!(event["annotations"][key], value, "{key}: {event:#}");
    }
}
