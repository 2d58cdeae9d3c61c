//! Violations that need a pod of their own.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER};
use support::text;

use super::{PLACES, namespace_at};
use crate::apiserver::{CLUSTER, complying_pod, ephemeral, rejection, set_labels};

/// A HostProcess pod of a Windows node. The API server accepts it only in the
/// node's network, and only for all containers.
fn host_process(on: &str) -> Value {
    let options =
        json!({"windowsOptions": {"hostProcess": true, "runAsUserName": "NT AUTHORITY\\SYSTEM"}});
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "host-process"},
        "spec": {
            "hostNetwork": true,
            "os": {"name": "windows"},
            "initContainers": [{"name": "setup", "image": "x"}],
            "containers": [{"name": "app", "image": "x"}],
        },
    });
    match on {
        "pod" => pod["spec"]["securityContext"] = options,
        _ => {
            pod["spec"]["initContainers"][0]["securityContext"] = options.clone();
            pod["spec"]["containers"][0]["securityContext"] = options;
        }
    }
    pod
}

#[test]
fn host_process_is_rejected_wherever_the_pod_sets_it() {
    let unlabelled = CLUSTER.namespace(None);
    for level in ["baseline", "restricted"] {
        let namespace = namespace_at(level);
        let field = "securityContext.windowsOptions.hostProcess";
        for (on, clauses) in [
            ("pod", vec![format!("pod, spec.{field}")]),
            (
                "containers",
                vec![
                    format!("init container \"setup\", {field}"),
                    format!("container \"app\", {field}"),
                ],
            ),
        ] {
            let pod = host_process(on);
            let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
            assert_eq!(code, 201, "{on}, without podseal: {answer:#}");
            let args = ["create", "-n", &namespace, "-f", "-"];
            let output = CLUSTER.plane.kubectl(RUNNER, &args, &pod.to_string());
            let printed = text(&output.stderr);
            for clause in clauses {
                let clause =
                    format!("{clause}: true is forbidden by the control windowsHostProcess");
                assert!(printed.contains(&clause), "{clause}\nis not in\n{printed}");
            }
        }
    }
}

#[test]
fn host_process_in_an_ephemeral_container_is_rejected() {
    let namespace = namespace_at("privileged");
    let mut pod = host_process("containers");
    for name in ["before", "after"] {
        pod["metadata"]["name"] = name.into();
        let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
        assert_eq!(code, 201, "{answer:#}");
    }
    let debug = json!({
        "name": "debug",
        "image": "x",
        "securityContext": pod["spec"]["containers"][0]["securityContext"],
    });
    let (code, answer) = ephemeral(ADMIN, &namespace, "before", &debug);
    assert_eq!(code, 200, "at level privileged: {answer:#}");
    let labels = [("profile", "none"), ("level", "baseline")];
    set_labels(&CLUSTER, &namespace, &labels);
    let answer = ephemeral(ADMIN, &namespace, "after", &debug);
    let message = rejection(&answer, "an ephemeral hostProcess");
    let clause = "ephemeral container \"debug\", securityContext.windowsOptions.hostProcess: true \
                  is forbidden by the control windowsHostProcess; ";
    assert!(message.starts_with(clause), "{message}");
}

#[test]
fn an_apparmor_annotation_is_reported_with_the_container_it_names() {
    let unlabelled = CLUSTER.namespace(None);
    for level in ["baseline", "restricted"] {
        let namespace = namespace_at(level);
        for (_, container, place) in PLACES {
            let key = format!("container.apparmor.security.beta.kubernetes.io/{container}");
            let mut pod = complying_pod("annotated");
            pod["metadata"]["annotations"] = json!({&key: "unconfined"});
            let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
            if container == "debug" {
                assert_eq!(code, 422, "it names no container yet: {answer:#}");
                continue;
            }
            assert_eq!(code, 201, "without podseal: {answer:#}");
            let answer = CLUSTER.plane.try_pod(&namespace, &pod);
            let message = rejection(&answer, &key);
            let clause = format!(
                "{place} \"{container}\", metadata.annotations[{key}]: unconfined is forbidden by \
                 the control appArmorProfile"
            );
            assert!(message.contains(&clause), "{message}");
        }
    }
}

#[test]
fn the_api_server_itself_rejects_an_unmasked_proc_outside_a_user_namespace() {
    let (unlabelled, baseline) = (CLUSTER.namespace(None), namespace_at("baseline"));
    let mut pod = complying_pod("unmasked");
    for list in ["initContainers", "containers"] {
        pod["spec"][list][0]["securityContext"] = json!({"procMount": "Unmasked"});
    }
    let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
    assert_eq!(code, 422, "{answer:#}");
    pod["spec"]["hostUsers"] = json!(false);
    let (code, answer) = CLUSTER.plane.try_pod(&baseline, &pod);
    assert_eq!(code, 201, "baseline allows it there: {answer:#}");
}
