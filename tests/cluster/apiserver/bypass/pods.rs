//! Pods that try to be validated as something else, or not at all.

use reqwest::Method;
use serde_json::json;
use support::controlplane::{ADMIN, RUNNER};
use support::text;

use super::{job, namespace_for, secure};
use crate::apiserver::{CLUSTER, complying_pod, rejection};

fn privileged(name: &str) -> serde_json::Value {
    let mut pod = complying_pod(name);
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    pod
}

#[test]
fn a_pod_that_is_not_a_job_is_validated_even_if_the_profile_is_unknown() {
    let namespace = CLUSTER.namespace(Some("rootles"));
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &complying_pod("fine"));
    assert_eq!(code, 201, "{answer:#}");
    let answer = CLUSTER.plane.try_pod(&namespace, &privileged("not-fine"));
    rejection(&answer, "privileged under an unknown profile");
}

#[test]
fn podseals_labels_and_annotations_have_no_effect_on_a_pod() {
    let namespace = namespace_for("none", "baseline");
    let mut pod = privileged("self-service");
    let ours = json!({
        "podseal.io/profile": "privileged",
        "podseal.io/level": "privileged",
        "podseal.io/mode": "audit",
        "podseal.io/runner": "admin",
    });
    pod["metadata"]["labels"] = ours.clone();
    pod["metadata"]["annotations"] = ours;
    rejection(
        &CLUSTER.plane.try_pod(&namespace, &pod),
        "labels on the pod",
    );
}

#[test]
fn a_privileged_dry_run_is_rejected_and_recorded_as_one() {
    let namespace = namespace_for("none", "baseline");
    rejection(
        &CLUSTER.plane.try_pod(&namespace, &privileged("dry")),
        "a dry run",
    );
    let decision = CLUSTER.podseal.decision_on("validate", "dry");
    assert_eq!(decision["dry_run"], json!(true));
    assert_eq!(decision["decision"], json!("deny"));
    assert_eq!(decision["violations"][0]["control"], json!("privileged"));
}

#[test]
fn a_privileged_pod_with_a_generated_name_is_rejected_and_recorded() {
    let namespace = namespace_for("none", "baseline");
    let mut pod = privileged("x");
    pod["metadata"] = json!({"generateName": "made-up-"});
    rejection(&CLUSTER.plane.create_pod(&namespace, &pod), "generateName");
    let decision = CLUSTER.podseal.await_event(|event| {
        event["namespace"] == namespace.as_str() && event["generate_name"] == "made-up-"
    });
    assert_eq!(decision["decision"], json!("deny"));
}

#[test]
fn a_pod_cannot_name_another_namespace_than_the_one_it_is_created_in() {
    let (namespace, elsewhere) = (namespace_for("none", "baseline"), CLUSTER.namespace(None));
    let mut pod = privileged("elsewhere");
    pod["metadata"]["namespace"] = json!(elsewhere);
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 400, "{answer:#}");
    pod["metadata"]["namespace"] = json!(namespace);
    let answer = CLUSTER.plane.create_pod(&namespace, &pod);
    rejection(&answer, "a pod that names its own namespace");
}

#[test]
fn of_duplicate_keys_the_one_that_applies_is_validated() {
    let namespace = namespace_for("none", "baseline");
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let create = |name: &str, context: &str| {
        let pod = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},
                "spec":{{"containers":[{{"name":"app","image":"x","securityContext":{{{context}}}}}]}}}}"#
        );
        CLUSTER
            .plane
            .kubectl(RUNNER, &["create", "--raw", &path, "-f", "-"], &pod)
    };
    let twice = create("last-true", r#""privileged":false,"privileged":true"#);
    let printed = text(&twice.stderr);
    assert!(printed.contains("validate.podseal.io"), "{printed}");
    let twice = create("last-false", r#""privileged":true,"privileged":false"#);
    assert!(twice.status.success(), "{}", text(&twice.stderr));
    let stored = CLUSTER.plane.stored_pod(&namespace, "last-false");
    let context = &stored["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["privileged"], json!(false));
    let spelled = create("case", r#""Privileged":true"#);
    assert!(spelled.status.success(), "{}", text(&spelled.stderr));
    let stored = CLUSTER.plane.stored_pod(&namespace, "case");
    let context = &stored["spec"]["containers"][0]["securityContext"];
    assert_eq!(context.get("privileged"), None, "unknown, and dropped");
}

#[test]
fn a_value_of_the_wrong_type_never_reaches_podseal() {
    let namespace = namespace_for("none", "baseline");
    let mut pod = privileged("wrong");
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": "true"});
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 400, "{answer:#}");
}

#[test]
fn a_container_name_can_be_in_a_pod_only_once() {
    let namespace = namespace_for("privileged", "baseline");
    for list in ["initContainers", "containers"] {
        let mut pod = job("twins");
        super::add(&mut pod, list, "build", &json!({"privileged": true}));
        let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
        let reported = answer["message"].as_str().unwrap_or_default();
        let twice = "container \"build\", name: another container has the same name";
        assert!(
            code == 403 && reported.contains(twice),
            "{list}: {answer:#}"
        );
        // If it is not a job's, the API server rejects it before it calls a
        // webhook.
        pod["metadata"]["labels"] = json!({});
        let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
        assert_eq!(code, 422, "{list}: {answer:#}");
    }
}

#[test]
fn a_value_with_a_phrase_that_the_runner_retries_on_does_not_make_it_retry() {
    let namespace = namespace_for("none", "baseline");
    for phrase in [
        "connection refused",
        "unexpected EOF",
        "exit status",
        "broken pipe",
    ] {
        let mut pod = complying_pod("retry");
        let path = format!("/a {phrase} b");
        pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": path}}]);
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, phrase);
        assert!(!message.contains(phrase), "{message}");
    }
}

#[test]
fn a_value_with_line_breaks_forges_no_second_line_and_no_full_stop() {
    let namespace = namespace_for("none", "baseline");
    let mut pod = complying_pod("lines");
    let path = "/x\ny\r\u{1b}[31m\u{2028}z is allowed; namespace \"ci\" is fine.";
    pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": path}}]);
    let answer = CLUSTER.plane.try_pod(&namespace, &pod);
    let message = rejection(&answer, "a path of two lines");
    assert!(
        !message.contains(['\n', '\r', '\u{1b}', '\u{2028}']),
        "{message}"
    );
    assert!(!message.contains("namespace \"ci\""), "{message}");
    assert!(!message.ends_with('.'), "{message}");
}

#[test]
fn a_flood_of_violations_is_reported_in_short_and_the_last_one_is_found_too() {
    let namespace = namespace_for("none", "baseline");
    let mut pod = complying_pod("flood");
    for number in 0..400 {
        let context = json!({"capabilities": {"add": ["NET_RAW"]}});
        super::add(&mut pod, "containers", &format!("c-{number}"), &context);
    }
    let answer = CLUSTER.plane.try_pod(&namespace, &pod);
    let message = rejection(&answer, "a flood");
    assert!(message.contains(" more; namespace "), "{message}");
    assert!(message.len() < 2000, "{} bytes", message.len());
    let only_last = pod["spec"]["containers"].as_array_mut().expect("a list");
    let last = only_last.len() - 1;
    for container in &mut only_last[..last] {
        container["securityContext"] = json!({});
    }
    let answer = CLUSTER.plane.try_pod(&namespace, &pod);
    let message = rejection(&answer, "the last of many");
    assert!(message.starts_with("container \"c-399\""), "{message}");
}

#[test]
fn pods_of_a_newly_labelled_namespace_are_validated_from_the_first_call() {
    for number in 0..10 {
        let namespace = CLUSTER.namespace(None);
        let path = format!("/api/v1/namespaces/{namespace}");
        let (_, mut object) = CLUSTER.plane.request(ADMIN, Method::GET, &path, None);
        object["metadata"]["labels"]["podseal.io/profile"] = json!("none");
        let (code, answer) = CLUSTER
            .plane
            .request(ADMIN, Method::PUT, &path, Some(&object));
        assert_eq!(code, 200, "{answer:#}");
        // At once, and to podseal itself: the API server's own view is late too.
        let pod = privileged(&format!("at-once-{number}"));
        let review = super::direct::review(&namespace, "admin", &pod);
        let (code, answer) = super::direct::post(review.to_string());
        assert_eq!(code, 200, "{answer}");
        assert!(answer.contains("\"allowed\":false"), "{answer}");
    }
}

#[test]
fn a_jobs_own_annotation_grants_nothing() {
    let namespace = namespace_for("rootless", "baseline");
    let mut pod = job("asks");
    secure(&mut pod, "svc-0", "privileged", json!(true));
    pod["metadata"]["annotations"]["job.runner.gitlab.com/privileged"] = json!("true");
    let answer = CLUSTER.plane.try_pod(&namespace, &pod);
    let message = rejection(&answer, "a privileged service");
    assert!(
        message.starts_with("container \"svc-0\", securityContext.privileged"),
        "{message}"
    );
    assert!(
        message.contains("beyond what its profile grants"),
        "{message}"
    );
}
