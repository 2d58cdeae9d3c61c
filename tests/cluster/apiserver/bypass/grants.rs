//! A profile grants nothing to pods of other users.

use cases::view::View;
use serde_json::json;
use support::controlplane::{ADMIN, RUNNER};

use super::{add, job, namespace_for, secure};
use crate::apiserver::{CLUSTER, ephemeral, rejection};

fn create_as(user: &str, namespace: &str, pod: &serde_json::Value) -> (u16, serde_json::Value) {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let post = reqwest::Method::POST;
    CLUSTER.plane.request(user, post, &path, Some(pod))
}

#[test]
fn pod_label_alone_grants_nothing_when_runner_is_named() {
    let namespace = namespace_for("privileged", "baseline");
    let mut pod = job("labelled");
    secure(&mut pod, "build", "privileged", json!(true));
    let answer = create_as(ADMIN, &namespace, &pod);
    let clause = "container \"build\", securityContext.privileged: true is forbidden by the \
                  control privileged; namespace";
    let message = rejection(&answer, "a job of another user");
    assert!(message.starts_with(clause), "{message}");
    let (code, answer) = create_as(RUNNER, &namespace, &pod);
    assert_eq!(code, 201, "the runner's own: {answer:#}");
}

#[test]
fn a_pod_with_a_jobs_labels_by_another_user_gets_no_correction() {
    let namespace = namespace_for("rootless", "baseline");
    let (code, answer) = create_as(ADMIN, &namespace, &job("uncorrected"));
    assert_eq!(code, 201, "{answer:#}");
    let pod = View(answer);
    assert_eq!(pod.uid("build"), None);
    assert_eq!(pod.env("build", "HOME"), None);
    let decision = CLUSTER.podseal.decision_on("mutate", "uncorrected");
    let reason = "the pod has a job's labels, but its creator is not in podseal.io/runner";
    assert_eq!(decision["message"], reason);
}

#[test]
fn with_an_empty_runner_annotation_or_a_pattern_no_pod_is_a_job() {
    for runner in [
        "",
        " , ",
        "system:serviceaccount:gitlab:*",
        "gitlab-runner",
        "*",
    ] {
        let labels = [("profile", "privileged"), ("level", "baseline")];
        let namespace = CLUSTER.namespace_with(&labels, &[("runner", runner)]);
        let mut pod = job("nobodys");
        secure(&mut pod, "build", "privileged", json!(true));
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, runner);
        assert!(
            message.contains("container \"build\""),
            "{runner}: {message}"
        );
    }
}

#[test]
fn a_job_in_the_profile_privileged_is_granted_privileged_on_build_and_services_alone() {
    let namespace = namespace_for("privileged", "baseline");
    let mut pod = job("flagged");
    for container in ["build", "helper", "svc-0", "init-permissions"] {
        secure(&mut pod, container, "privileged", json!(true));
    }
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let stored = View(answer);
    for (container, privileged) in [
        ("build", true),
        ("svc-0", true),
        ("helper", false),
        ("init-permissions", false),
    ] {
        let found = stored.security(container, "privileged");
        assert_eq!(found, &json!(privileged), "{container}");
    }
    let debug = json!({"name": "debug", "image": "x", "securityContext": {"privileged": true}});
    let answer = ephemeral(ADMIN, &namespace, "flagged", &debug);
    let message = rejection(&answer, "an ephemeral container");
    assert!(
        message.starts_with("ephemeral container \"debug\""),
        "{message}"
    );
}

#[test]
fn a_job_in_the_profile_privileged_is_granted_nothing_but_privileged() {
    let namespace = namespace_for("privileged", "baseline");
    let cases = [
        ("/spec/hostPID", json!(true), "hostNamespaces"),
        ("/spec/hostNetwork", json!(true), "hostNamespaces"),
        (
            "/spec/volumes/-",
            json!({"name": "root", "hostPath": {"path": "/"}}),
            "volumes",
        ),
        (
            "/spec/securityContext",
            json!({"seccompProfile": {"type": "Unconfined"}}),
            "seccompProfile",
        ),
        (
            "/spec/containers/0/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
            "seccompProfile",
        ),
        (
            "/spec/containers/2/securityContext/capabilities",
            json!({"add": ["SYS_ADMIN"]}),
            "capabilities",
        ),
        (
            "/spec/containers/0/securityContext/capabilities",
            json!({"add": ["SYS_ADMIN"]}),
            "capabilities",
        ),
        (
            "/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1build",
            json!("unconfined"),
            "appArmorProfile",
        ),
    ];
    for (at, value, control) in cases {
        let mut pod = job("more");
        let operation = json!([{"op": "add", "path": at, "value": value}]);
        let patch: json_patch::Patch = serde_json::from_value(operation).expect("a patch");
        json_patch::patch(&mut pod, &patch).expect("it applies");
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, at);
        let clause = format!("is forbidden by the control {control}; ");
        assert!(message.contains(&clause), "{at}: {message}");
    }
}

/// At `restricted`, `build` of a rootless job may gain privileges.
#[test]
fn grant_does_not_reach_init_container_named_build() {
    for profile in ["rootless", "userns"] {
        let namespace = namespace_for(profile, "restricted");
        let complying = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        let mut pod = job("two-builds");
        super::container(&mut pod, "svc-0")["securityContext"] = complying.clone();
        let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
        assert_eq!(code, 201, "{profile}, without it: {answer:#}");
        // The API server accepts a name once, so the job's own has another.
        let mut init = complying;
        init["allowPrivilegeEscalation"] = json!(true);
        add(&mut pod, "initContainers", "build-2", &init);
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, profile);
        assert!(
            message.starts_with("init container \"build-2\", "),
            "{message}"
        );
        let inits = pod["spec"]["initContainers"]
            .as_array_mut()
            .expect("a list");
        inits.last_mut().expect("it was added")["name"] = json!("build");
        let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
        let reported = answer["message"].as_str().unwrap_or_default();
        let twice = "container \"build\", name: another container has the same name";
        assert!(code == 403 && reported.contains(twice), "{answer:#}");
        // Without a regular `build` the pod is no job's at all.
        super::container(&mut pod, "helper")["name"] = json!("other");
        pod["spec"]["containers"][0]["name"] = json!("app");
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, profile);
        assert!(message.contains("init container \"build\", "), "{message}");
    }
}

#[test]
fn service_named_build_2_init_x_or_helper_2_is_a_service() {
    let namespace = namespace_for("rootless", "restricted");
    for alias in ["build-2", "init-x", "helper-2", "init-permissions-2"] {
        let mut pod = job("aliased");
        let service = super::container(&mut pod, "svc-0");
        service["name"] = alias.into();
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, alias);
        let clause = format!("container \"{alias}\", securityContext.allowPrivilegeEscalation: ");
        assert!(
            message.starts_with(&clause),
            "neither corrected nor granted: {message}"
        );
    }
}

#[test]
fn a_grant_at_restricted_lowers_a_control_and_does_not_switch_it_off() {
    let namespace = namespace_for("rootless", "restricted");
    let service =
        crate::apiserver::complying_pod("x")["spec"]["containers"][0]["securityContext"].clone();
    let mut pod = job("lowered");
    super::container(&mut pod, "svc-0")["securityContext"] = service;
    secure(
        &mut pod,
        "build",
        "capabilities",
        json!({"add": ["SYS_ADMIN"]}),
    );
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
    if code == 201 {
        let stored = View(answer);
        let added = stored.capabilities("build", "add");
        assert!(!added.contains(&"SYS_ADMIN"), "{added:?}");
    }
    for at in ["build", "pod"] {
        let mut pod = pod.clone();
        secure(&mut pod, "build", "capabilities", json!({}));
        let unconfined = json!({"type": "Unconfined"});
        match at {
            "pod" => pod["spec"]["securityContext"] = json!({"seccompProfile": unconfined}),
            _ => secure(&mut pod, "build", "seccompProfile", unconfined),
        }
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, at);
        assert!(
            message.contains("Unconfined is forbidden by the control seccompProfile"),
            "{message}"
        );
    }
}

#[test]
fn a_mirror_pod_is_validated_and_gets_no_grant() {
    let namespace = namespace_for("privileged", "baseline");
    for value in ["", "a-hash"] {
        let mut pod = job("mirrored");
        pod["spec"]["nodeName"] = json!("node");
        pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = value.into();
        let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
        assert_eq!(code, 201, "{answer:#}");
        assert_eq!(View(answer).uid("build"), None, "nor is it corrected");
        secure(&mut pod, "build", "privileged", json!(true));
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, "a mirror pod");
        assert!(message.starts_with("container \"build\""), "{message}");
    }
}

#[test]
fn a_job_with_the_os_windows_gets_no_grant() {
    for (profile, level) in [("privileged", "baseline"), ("rootless", "restricted")] {
        let namespace = namespace_for(profile, level);
        let mut pod = job("windows");
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
        secure(&mut pod, "build", "privileged", json!(true));
        let answer = CLUSTER.plane.try_pod(&namespace, &pod);
        let message = rejection(&answer, profile);
        let clause = "container \"build\", securityContext.privileged: true is forbidden";
        assert!(message.starts_with(clause), "{message}");
        if level == "restricted" {
            assert!(
                message.contains("control allowPrivilegeEscalation"),
                "{message}"
            );
        }
    }
}
