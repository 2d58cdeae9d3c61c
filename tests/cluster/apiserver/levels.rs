//! Levels, modes and the runner's identity, through the real API server.

use cases::view::View;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER};
use support::text;

use crate::apiserver::{CLUSTER, fixture, job_without_services};

fn create(namespace: &str, pod: &Value) -> View {
    let (code, answer) = CLUSTER.plane.create_pod(namespace, pod);
    assert_eq!(code, 201, "{}", answer["message"]);
    let name = answer["metadata"]["name"].as_str().expect("a name");
    View(CLUSTER.plane.stored_pod(namespace, name))
}

#[test]
fn a_job_runs_at_restricted_with_what_podman_needs_and_no_more() {
    for profile in ["rootless", "userns"] {
        let labels = [("profile", profile), ("level", "restricted")];
        let namespace = CLUSTER.namespace_with(&labels, &[]);
        let pod = create(&namespace, &job_without_services());
        assert_eq!(
            pod.security("build", "allowPrivilegeEscalation"),
            &json!(true),
            "{profile}"
        );
        assert_eq!(pod.capabilities("build", "add"), ["SETUID", "SETGID"]);
        assert_eq!(
            pod.effective("build", "seccompProfile"),
            Value::Null,
            "Podman has to clone"
        );
        for container in ["helper", "init-permissions"] {
            let security = |field| pod.security(container, field);
            assert_eq!(
                security("allowPrivilegeEscalation"),
                &json!(false),
                "{container}"
            );
            assert_eq!(
                security("seccompProfile"),
                &json!({"type": "RuntimeDefault"})
            );
        }
        for container in ["build", "helper", "init-permissions"] {
            assert!(
                pod.capabilities(container, "drop").contains(&"ALL"),
                "{container}"
            );
            assert_eq!(pod.uid(container), Some(1000));
            let needed = (profile == "rootless").then_some(json!(true));
            let non_root = pod.effective(container, "runAsNonRoot");
            assert_eq!(non_root, needed.unwrap_or_default(), "{container}");
        }
    }
}

#[test]
fn a_privileged_service_is_rejected_as_kubectl_prints_it_and_recorded() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let mut pod = fixture("privileged-with-service");
    pod["metadata"]["name"] = "rejected".into();
    let args = ["create", "-n", &namespace, "-f", "-"];
    let output = CLUSTER.plane.kubectl(RUNNER, &args, &pod.to_string());
    let message = text(&output.stderr);
    let expected = format!(
        "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \
         \"validate.podseal.io\" denied the request: container \"docker\", \
         securityContext.privileged: true is forbidden by the control privileged; namespace \
         \"{namespace}\" requires every pod to meet baseline (label podseal.io/level is not set; \
         podseal.io/profile: \"rootless\"), beyond what its profile grants; to fix this, "
    );
    assert!(message.starts_with(&expected), "{message}");
    let record = CLUSTER.podseal.decision_on("validate", "rejected");
    assert_eq!(
        (&record["decision"], &record["code"]),
        (&json!("deny"), &json!(403))
    );
    let violation = json!({
        "control": "privileged",
        "container": "docker",
        "field": "securityContext.privileged",
        "value": "true",
    });
    assert_eq!(record["violations"], json!([violation]), "{record:#}");
}

#[test]
fn warn_admits_the_corrected_pod_with_a_warning_that_kubectl_shows() {
    let labels = [("profile", "rootless"), ("mode", "warn")];
    let namespace = CLUSTER.namespace_with(&labels, &[]);
    let pod = fixture("privileged-with-service");
    let args = ["create", "-n", &namespace, "-f", "-"];
    let output = CLUSTER.plane.kubectl(RUNNER, &args, &pod.to_string());
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let warning = "Warning: podseal would deny this: container \"docker\", \
                   securityContext.privileged: true is forbidden by the control privileged";
    assert!(stderr.contains(warning), "{stderr}");
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let stored = View(CLUSTER.plane.stored_pod(&namespace, name));
    assert_eq!(
        stored.security("build", "privileged"),
        &json!(false),
        "corrected"
    );
    assert_eq!(
        stored.security("docker", "privileged"),
        &json!(true),
        "admitted"
    );
}

#[test]
fn audit_does_not_change_the_pod_and_records_what_would_have_happened() {
    let labels = [("profile", "rootless"), ("mode", "audit")];
    let namespace = CLUSTER.namespace_with(&labels, &[]);
    let mut pod = fixture("privileged-with-service");
    pod["metadata"]["name"] = "audited".into();
    let stored = create(&namespace, &pod);
    assert_eq!(stored.security("build", "privileged"), &json!(true));
    assert_eq!(stored.uid("build"), None);
    let mutation = CLUSTER.podseal.decision_on("mutate", "audited");
    assert_eq!(
        (&mutation["decision"], &mutation["mode"]),
        (&json!("mutate"), &json!("audit"))
    );
    let judgement = CLUSTER.podseal.decision_on("validate", "audited");
    assert_eq!(
        (&judgement["decision"], &judgement["mode"]),
        (&json!("deny"), &json!("audit"))
    );
    assert_eq!(
        judgement["violation_count"],
        json!(1),
        "only what a correction cannot fix"
    );
    assert_eq!(judgement["changes"], mutation["changes"]);
}

#[test]
fn only_the_named_runners_pods_are_jobs() {
    let labels = [("profile", "privileged")];
    let runner = [("runner", "system:serviceaccount:gitlab:gitlab-runner")];
    let namespace = CLUSTER.namespace_with(&labels, &runner);
    let pod = fixture("privileged-with-service");
    let stored = create(&namespace, &pod);
    assert_eq!(stored.security("docker", "privileged"), &json!(true));
    assert_eq!(stored.uid("build"), Some(1000));
    // An administrator is not a runner, whatever labels the pod has.
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let mut pod = pod;
    pod["metadata"]["name"] = "impostor".into();
    let post = reqwest::Method::POST;
    let (code, status) = CLUSTER.plane.request(ADMIN, post, &path, Some(&pod));
    assert_eq!(code, 403, "{status:#}");
    let decision = CLUSTER.podseal.decision_on("mutate", "impostor");
    assert_eq!(decision["decision"], json!("allow"), "no correction");
    let message = decision["message"].as_str().expect("a message");
    assert!(message.contains("podseal.io/runner"), "{message}");
}

#[test]
fn the_creator_of_an_uncorrected_job_is_warned_since_the_annotation_may_be_misspelt() {
    let runner = [("runner", "gitlab-runner")];
    let namespace = CLUSTER.namespace_with(&[("profile", "rootless")], &runner);
    let args = ["create", "-n", &namespace, "-f", "-"];
    let output = CLUSTER
        .plane
        .kubectl(RUNNER, &args, &job_without_services().to_string());
    let stderr = text(&output.stderr);
    let warning = "Warning: podseal did not change this pod: it has a job's labels, but its \
                   creator is not among the users in the namespace's annotation podseal.io/runner";
    assert!(stderr.contains(warning), "{stderr}");
}

#[test]
fn an_unknown_level_is_read_as_restricted_and_warned_of() {
    let labels = [("profile", "rootless"), ("level", "basline")];
    let namespace = CLUSTER.namespace_with(&labels, &[]);
    let args = ["create", "-n", &namespace, "-f", "-"];
    let output = CLUSTER
        .plane
        .kubectl(RUNNER, &args, &job_without_services().to_string());
    let stderr = text(&output.stderr);
    assert!(
        output.status.success(),
        "rootless meets restricted: {stderr}"
    );
    let warning = "Warning: label podseal.io/level: \"basline\" is not one of privileged, \
                   baseline, restricted, so the strictest applies";
    assert!(stderr.contains(warning), "{stderr}");
}
