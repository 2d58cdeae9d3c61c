//! The node itself: what the other tests rest on.

use serde_json::json;
use support::controlplane::{ADMIN, await_condition};
use support::simulated_node::Node;

use crate::release::Release;

impl Release {
    /// Runs podseal with `args` in a pod like those of `helm test`, and returns
    /// the phase in which it ended, and what it wrote.
    fn run_hook(&self, name: &str, args: &[&str]) -> (String, String) {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "annotations": {"helm.sh/hook": "test"},
            },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "test",
                    "image": "podseal",
                    "args": args,
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        });
        self.plane.apply(ADMIN, &pod.to_string());
        let phase = || {
            let pod = self.plane.stored_pod(&self.namespace, name);
            pod["status"]["phase"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let is_over = || ["Succeeded", "Failed"].contains(&phase().as_str());
        await_condition("the pod ends", is_over, phase);
        (phase(), self.node().log(name).join("\n"))
    }
}

#[test]
fn a_hook_of_helm_test_runs_to_its_end() {
    let release = Release::new("hook");
    let (phase, log) = release.run_hook("good", &["profiles", "rootless"]);
    assert_eq!(phase, "Succeeded", "{log}");
    assert!(log.contains("rootless"), "{log}");
    let (phase, log) = release.run_hook("bad", &["profiles", "no-such"]);
    assert_eq!(phase, "Failed");
    assert!(log.contains("no-such"), "{log}");
}

#[test]
fn replicas_run_as_pods_do_and_are_replaced() {
    let release = Release::installed("replaced", &[]);
    let replica = release.node().replicas().remove(0);
    let environment = std::fs::read(format!("/proc/{}/environ", replica.pid));
    let environment = support::text(&environment.expect("it runs"));
    assert!(
        environment.contains("KUBERNETES_SERVICE_HOST"),
        "{environment}"
    );
    if Node::isolates() {
        assert!(!environment.contains("KUBECONFIG"), "{environment}");
        assert!(!environment.contains("HOME"), "{environment}");
    }
    // By a person, by a crash, by kubectl.
    let pods = release.pods();
    release.kubectl(&["delete", "-n", &release.namespace, &pods[0], "--wait=false"]);
    let is_replaced = || {
        let now = release.node().replicas();
        now.len() == 2 && now.iter().all(|replica| !pods[0].ends_with(&replica.pod))
    };
    await_condition("it is replaced", is_replaced, String::new);
    let replica = release.node().replicas().remove(0);
    let status = std::process::Command::new("kill")
        .args(["-KILL", &replica.pid.to_string()])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
    let restarts = || {
        let pod = release.plane.stored_pod(&release.namespace, &replica.pod);
        pod["status"]["containerStatuses"][0].clone()
    };
    let is_back = || restarts()["restartCount"] == 1 && restarts()["ready"] == true;
    await_condition("it is back", is_back, || restarts().to_string());
    let before = release.pods();
    let deployment = format!("deployment/{}", release.name);
    release.kubectl(&["rollout", "restart", &deployment, "-n", &release.namespace]);
    release.await_rollout();
    let replicas = release.node().replicas();
    let is_old = |pod: &str| before.iter().any(|old| old.ends_with(pod));
    assert!(
        replicas.iter().any(|replica| !is_old(&replica.pod)),
        "{replicas:?}"
    );
    release.node().check();
}

#[test]
fn what_the_namespace_does_not_admit_is_told() {
    let release = Release::new("refused");
    release.helm_at_once("install", support::helm::CHART, &[]);
    let privileged = json!([{"op": "add", "value": true,
        "path": "/spec/template/spec/hostNetwork"}]);
    let deployment = format!("deployment/{}", release.name);
    let patch = privileged.to_string();
    release.kubectl(&[
        "patch",
        &deployment,
        "-n",
        &release.namespace,
        "--type=json",
        "-p",
        &patch,
    ]);
    let mut told = None;
    let is_told = || {
        told = release.node().take_error();
        told.is_some()
    };
    await_condition("the node tells", is_told, String::new);
    let told = told.expect("it was awaited");
    assert!(told.contains("violates PodSecurity"), "{told}");
    // It goes on trying, and telling.
    release.uninstall();
    let is_over = || release.pods().is_empty();
    await_condition("all pods are gone", is_over, String::new);
    release.node().take_error();
}
