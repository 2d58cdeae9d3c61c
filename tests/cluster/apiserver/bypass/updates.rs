//! Changes of pods that are there.

use reqwest::Method;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, DEBUGGER, RUNNER};
use support::text;

use super::{container, job, namespace_for, secure};
use crate::apiserver::{CLUSTER, Cluster, complying_pod, ephemeral, rejection, set_labels};

pub(super) fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

/// Changes the stored pod, or what is at a subresource of it.
pub(super) fn change(
    cluster: &Cluster,
    (namespace, name, subresource): (&str, &str, &str),
    edit: impl FnOnce(&mut Value),
) -> (u16, Value) {
    let mut pod = cluster.plane.stored_pod(namespace, name);
    edit(&mut pod);
    let path = format!("{}{subresource}", path(namespace, name));
    cluster.plane.request(ADMIN, Method::PUT, &path, Some(&pod))
}

/// A pod that existed before its namespace got `level`, with what `edit` makes of a
/// complying one.
fn older_than(level: &str, edit: impl FnOnce(&mut Value)) -> String {
    let namespace = namespace_for("none", "privileged");
    let mut pod = complying_pod("old");
    edit(&mut pod);
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    set_labels(
        &CLUSTER,
        &namespace,
        &[("profile", "none"), ("level", level)],
    );
    namespace
}

pub(super) fn privileged_app(pod: &mut Value) {
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
}

#[test]
fn rejects_privileged_ephemeral_container() {
    let namespace = namespace_for("none", "baseline");
    let (code, answer) = CLUSTER
        .plane
        .create_pod(&namespace, &complying_pod("debugged"));
    assert_eq!(code, 201, "{answer:#}");
    let args = [
        "debug",
        "debugged",
        "-n",
        &namespace,
        "--image=x",
        "--profile=sysadmin",
        "--container=shell",
        "--attach=false",
    ];
    let output = CLUSTER.plane.kubectl(ADMIN, &args, "");
    let printed = text(&output.stderr);
    let sentence = "admission webhook \"validate.podseal.io\" denied the request: ephemeral \
                    container \"shell\", securityContext.privileged: true is forbidden by the \
                    control privileged; namespace";
    assert!(printed.contains(sentence), "{printed}");
    let decision = CLUSTER.podseal.await_event(|event| {
        event["namespace"] == namespace.as_str() && event["subresource"] == "ephemeralcontainers"
    });
    assert_eq!(decision["decision"], json!("deny"), "{decision:#}");
    assert_eq!(decision["violations"][0]["container"], json!("shell"));
}

#[test]
fn a_user_who_may_add_ephemeral_containers_and_nothing_else_adds_no_privileged_one() {
    let namespace = namespace_for("privileged", "baseline");
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &job("running"));
    assert_eq!(code, 201, "{answer:#}");
    let (code, _) = CLUSTER.plane.request(
        DEBUGGER,
        Method::POST,
        &format!("/api/v1/namespaces/{namespace}/pods"),
        Some(&complying_pod("own")),
    );
    assert_eq!(code, 403, "may do nothing else");
    for (what, context) in [
        ("privileged", json!({"privileged": true})),
        (
            "SYS_PTRACE",
            json!({"capabilities": {"add": ["SYS_PTRACE"]}}),
        ),
        ("seccomp", json!({"seccompProfile": {"type": "Unconfined"}})),
    ] {
        let debug = json!({"name": "debug", "image": "x", "targetContainerName": "build",
            "securityContext": context});
        let answer = ephemeral(DEBUGGER, &namespace, "running", &debug);
        let message = rejection(&answer, what);
        assert!(
            message.starts_with("ephemeral container \"debug\", "),
            "{message}"
        );
    }
    let twin = json!({"name": "build", "image": "x", "securityContext": {"privileged": true}});
    let (code, answer) = ephemeral(DEBUGGER, &namespace, "running", &twin);
    assert_eq!(code, 422, "a name can be used once: {answer:#}");
    for target in [None, Some("build")] {
        let debug = json!({"name": "debug", "image": "x", "targetContainerName": target});
        for user in [DEBUGGER, ADMIN] {
            let answer = ephemeral(user, &namespace, "running", &debug);
            let message = rejection(&answer, "a container next to a privileged build");
            assert!(
                message.starts_with(&may_not_enter("ephemeral container \"debug\"")),
                "{message}"
            );
        }
    }
}

/// How the denial of a new image or container at `place` begins.
fn may_not_enter(place: &str) -> String {
    format!("{place}, image: a new image or container is not allowed in a pod that violates")
}

#[test]
fn a_service_that_shares_processes_with_a_privileged_build_keeps_its_image() {
    let namespace = namespace_for("privileged", "baseline");
    let mut pod = job("shared");
    pod["spec"]["shareProcessNamespace"] = json!(true);
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let answer = change(&CLUSTER, (&namespace, "shared", ""), |pod| {
        container(pod, "svc-0")["image"] = json!("evil");
    });
    let message = rejection(&answer, "an image swapped in a service");
    assert!(
        message.starts_with(&may_not_enter("container \"svc-0\"")),
        "{message}"
    );
}

#[test]
fn a_pod_without_violations_allows_new_images_and_debug_containers() {
    let namespace = namespace_for("rootless", "baseline");
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &job("debugged"));
    assert_eq!(code, 201, "{answer:#}");
    let (code, answer) = change(&CLUSTER, (&namespace, "debugged", ""), |pod| {
        container(pod, "helper")["image"] = json!("other");
    });
    assert_eq!(code, 200, "{answer:#}");
    let debug = json!({"name": "debug", "image": "x", "targetContainerName": "build"});
    let (code, answer) = ephemeral(DEBUGGER, &namespace, "debugged", &debug);
    assert_eq!(code, 200, "{answer:#}");
}

#[test]
fn a_pod_that_the_api_server_rejects_gets_the_api_servers_own_message() {
    let namespace = namespace_for("rootless", "baseline");
    let mut pod = job("long");
    let long = "n".repeat(64);
    container(&mut pod, "svc-0")["name"] = json!(long);
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
    assert_eq!(code, 422, "{answer:#}");
    let message = answer["message"].as_str().expect("a message");
    assert!(message.contains("must be no more than 63"), "{message}");
    let mut pod = job("annotated");
    pod["metadata"]["annotations"]["x"] = json!("y".repeat(256 * 1024));
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
    assert_eq!(code, 422, "{answer:#}");
    for name in ["long", "annotated"] {
        let decision = CLUSTER
            .podseal
            .await_event(|event| event["namespace"] == namespace.as_str() && event["pod"] == name);
        assert_eq!(decision["webhook"], "mutate", "{decision:#}");
        assert_eq!(decision["decision"], "allow", "{decision:#}");
    }
}

#[test]
fn a_label_change_on_an_old_violating_pod_passes() {
    let namespace = older_than("restricted", |pod| {
        privileged_app(pod);
        pod["spec"]["hostPID"] = json!(true);
    });
    let (code, answer) = change(&CLUSTER, (&namespace, "old", ""), |pod| {
        pod["metadata"]["labels"] = json!({"team": "a", "job.runner.gitlab.com/pod": "x"});
    });
    assert_eq!(code, 200, "{answer:#}");
    let (code, answer) = change(&CLUSTER, (&namespace, "old", ""), |pod| {
        pod["spec"]["activeDeadlineSeconds"] = json!(60);
    });
    assert_eq!(code, 200, "nor does it violate anything new: {answer:#}");
}

#[test]
fn swapping_the_image_of_a_privileged_build_is_rejected() {
    let namespace = namespace_for("privileged", "baseline");
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &job("swapped"));
    assert_eq!(code, 201, "{answer:#}");
    let args = [
        "set",
        "image",
        "-n",
        &namespace,
        "pod/swapped",
        "build=evil",
    ];
    let output = CLUSTER.plane.kubectl(ADMIN, &args, "");
    let printed = text(&output.stderr);
    let sentence = "admission webhook \"validate.podseal.io\" denied the request: container \
                    \"build\", image: a new image or container is not allowed in a pod that \
                    violates its level, since it could use what the pod has (container \"build\", \
                    securityContext.privileged: true is forbidden by the control privileged)";
    assert!(printed.contains(sentence), "{printed}");
    let answer = change(&CLUSTER, (&namespace, "swapped", ""), |pod| {
        container(pod, "helper")["image"] = json!("other");
    });
    let message = rejection(&answer, "helper shares its volumes and its user with build");
    assert!(
        message.starts_with(&may_not_enter("container \"helper\"")),
        "{message}"
    );
}

#[test]
fn swapping_an_image_in_a_pod_that_shares_the_nodes_processes_is_rejected() {
    for field in ["hostPID", "hostNetwork"] {
        let namespace = older_than("baseline", |pod| pod["spec"][field] = json!(true));
        let answer = change(&CLUSTER, (&namespace, "old", ""), |pod| {
            pod["spec"]["containers"][0]["image"] = json!("evil");
        });
        let message = rejection(&answer, field);
        assert!(message.contains("control hostNamespaces"), "{message}");
    }
}

#[test]
fn swapping_an_image_in_a_pod_with_a_host_path_is_rejected() {
    let namespace = older_than("baseline", |pod| {
        pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/host"}]);
    });
    let answer = change(&CLUSTER, (&namespace, "old", ""), |pod| {
        pod["spec"]["containers"][0]["image"] = json!("evil");
    });
    let message = rejection(&answer, "an image swapped in a pod with a hostPath");
    assert!(message.contains("control volumes"), "{message}");
}

#[test]
fn no_update_makes_a_container_privileged() {
    let namespace = namespace_for("none", "baseline");
    let (code, answer) = CLUSTER
        .plane
        .create_pod(&namespace, &complying_pod("grown"));
    assert_eq!(code, 201, "{answer:#}");
    for subresource in ["", "/status", "/resize", "/ephemeralcontainers"] {
        let (_, answer) = change(&CLUSTER, (&namespace, "grown", subresource), |pod| {
            secure(pod, "app", "allowPrivilegeEscalation", json!(true));
            secure(pod, "app", "privileged", json!(true));
            pod["spec"]["hostPID"] = json!(true);
        });
        let stored = CLUSTER.plane.stored_pod(&namespace, "grown");
        let context = &stored["spec"]["containers"][0]["securityContext"];
        assert_eq!(context.get("privileged"), None, "{subresource}: {answer:#}");
        assert_eq!(
            stored["spec"].get("hostPID"),
            None,
            "{subresource}: {answer:#}"
        );
    }
}

#[test]
fn an_apparmor_annotation_cannot_be_added_later() {
    // The spec stays as it is, so podseal is not even called.
    let namespace = namespace_for("none", "baseline");
    let (code, answer) = CLUSTER
        .plane
        .create_pod(&namespace, &complying_pod("annotated"));
    assert_eq!(code, 201, "{answer:#}");
    for subresource in ["", "/status", "/resize", "/ephemeralcontainers"] {
        let (_, answer) = change(&CLUSTER, (&namespace, "annotated", subresource), |pod| {
            let key = "container.apparmor.security.beta.kubernetes.io/app";
            pod["metadata"]["annotations"] = json!({key: "unconfined"});
        });
        let stored = CLUSTER.plane.stored_pod(&namespace, "annotated");
        let annotations = &stored["metadata"]["annotations"];
        assert!(
            annotations.is_null(),
            "{subresource}: {annotations} {answer:#}"
        );
    }
}

/// A limit, and not podseal's to close: `pods/binding` must not depend on a
/// webhook. Whoever may bind pods is the scheduler, or trusted as much; and the
/// kubelet reads the annotation only if the field is not set.
#[test]
fn a_binding_can_still_add_an_apparmor_annotation_to_a_pod() {
    let namespace = namespace_for("none", "baseline");
    let (code, answer) = CLUSTER
        .plane
        .create_pod(&namespace, &complying_pod("bound"));
    assert_eq!(code, 201, "{answer:#}");
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "name": "bound",
            "annotations": {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"},
        },
        "target": {"kind": "Node", "name": "node"},
    });
    let path = format!("{}/binding", path(&namespace, "bound"));
    for (user, expected) in [(RUNNER, 403), (ADMIN, 201)] {
        let (code, answer) = CLUSTER
            .plane
            .request(user, Method::POST, &path, Some(&binding));
        assert_eq!(code, expected, "{user}: {answer:#}");
    }
    let stored = CLUSTER.plane.stored_pod(&namespace, "bound");
    let annotations = &stored["metadata"]["annotations"];
    assert_eq!(annotations, &binding["metadata"]["annotations"]);
}

#[test]
fn an_ephemeral_container_in_a_pod_that_shares_the_nodes_processes_is_rejected() {
    let namespace = older_than("baseline", |pod| pod["spec"]["hostPID"] = json!(true));
    let debug = json!({"name": "debug", "image": "x"});
    let answer = ephemeral(DEBUGGER, &namespace, "old", &debug);
    let message = rejection(&answer, "a new container in it");
    assert!(
        message.contains("(pod, spec.hostPID: true is forbidden"),
        "{message}"
    );
}

#[test]
fn a_resize_is_validated_and_a_privileged_build_can_be_resized() {
    let namespace = namespace_for("privileged", "baseline");
    let mut pod = job("resized");
    container(&mut pod, "build")["resources"] = json!({"requests": {"cpu": "100m"}});
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let (code, answer) = change(&CLUSTER, (&namespace, "resized", "/resize"), |pod| {
        container(pod, "build")["resources"]["requests"]["cpu"] = json!("200m");
    });
    assert_eq!(code, 200, "{answer:#}");
    let decision = CLUSTER.podseal.await_event(|event| {
        event["namespace"] == namespace.as_str() && event["subresource"] == "resize"
    });
    assert_eq!(decision["decision"], json!("allow"), "{decision:#}");
}
