//! podseal on its node's network: which pods the API server admits, and rollouts on as
//! many nodes as there are replicas.

use serde_json::{Value, json};
use support::chart;
use support::controlplane::{ADMIN, await_condition};

use crate::PLANE;
use crate::release::Release;

const ON: [&str; 3] = [
    "hostNetwork=true",
    "serve.webhookPort=10443",
    "serve.statusPort=10444",
];

/// The pod of the chart's Deployment with these values, as the API server would store it
/// in a namespace that enforces this level.
fn tried(level: &str, values: &[&str]) -> (u16, Value) {
    let name = format!("host-network-{level}");
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}},
    });
    PLANE.apply(ADMIN, &namespace.to_string());
    let objects = chart::rendered("deployment", values).expect("it renders");
    let deployment = chart::the("Deployment", &objects);
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("tried");
    pod["metadata"]["namespace"] = json!(name);
    PLANE.try_pod(&name, &pod)
}

#[test]
fn the_pod_takes_its_own_ports_of_the_node_and_is_probed_there() {
    let (code, pod) = tried("privileged", &ON);
    assert_eq!(code, 201, "{pod:#}");
    let spec = &pod["spec"];
    assert_eq!(spec["hostNetwork"], true);
    assert_eq!(spec["dnsPolicy"], "ClusterFirstWithHostNet");
    let container = &spec["containers"][0];
    let ports = container["ports"].as_array().expect("ports").iter();
    let ports: Vec<_> = ports
        .map(|port| (&port["name"], &port["containerPort"], &port["hostPort"]))
        .collect();
    let (webhook, status) = (json!(10443), json!(10444));
    let (named_webhook, named_status) = (json!("webhook"), json!("status"));
    let expected = [
        (&named_webhook, &webhook, &webhook),
        (&named_status, &status, &status),
    ];
    assert_eq!(ports, expected);
    let args = container["args"].to_string();
    for arg in ["--listen=[::]:10443", "--status-listen=127.0.0.1:10444"] {
        assert!(args.contains(&format!("\"{arg}\"")), "{arg}: {args}");
    }
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["host"], "127.0.0.1", "{probe}");
    }
    // Without hostNetwork, none of it.
    let (code, pod) = tried("privileged", &ON[1..]);
    assert_eq!(code, 201, "{pod:#}");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(pod["spec"]["hostNetwork"], Value::Null);
    assert_eq!(pod["spec"]["dnsPolicy"], "ClusterFirst");
    assert_eq!(container["ports"][1]["hostPort"], Value::Null);
    assert!(container["args"].to_string().contains("[::]:10444"));
    assert_eq!(container["readinessProbe"]["httpGet"]["host"], Value::Null);
}

#[test]
fn its_namespace_must_allow_the_level_privileged_because_of_its_network_alone() {
    // What the level baseline forbids of the pod.
    let violations = [
        "host namespaces (hostNetwork=true)",
        "hostPort (container \"podseal\" uses hostPorts ",
        "probe or lifecycle host (container \"podseal\" uses ",
    ];
    for level in ["restricted", "baseline"] {
        let (code, answer) = tried(level, &ON);
        assert_eq!(code, 403, "{answer:#}");
        let message = answer["message"].as_str().expect("a message");
        let (_, said) = message
            .split_once(&format!("\"{level}:latest\": "))
            .expect("why");
        println!("{level}: {said}");
        for violation in violations {
            assert!(said.contains(violation), "{violation}: {said}");
        }
        let count = said.matches("container \"podseal\"").count();
        assert_eq!(count, violations.len() - 1, "{said}");
    }
    // Prometheus' way in needs no probe of another address.
    let open = [&ON[..], &["serve.statusAddress=\"::\""]].concat();
    let (_, answer) = tried("baseline", &open);
    assert!(!answer.to_string().contains("lifecycle"), "{answer:#}");
}

#[test]
fn no_job_notices_a_rollout_where_there_are_as_many_nodes_as_replicas() {
    let release = Release::new("host");
    let label = "pod-security.kubernetes.io/enforce=privileged";
    let namespace = release.namespace.clone();
    release.kubectl(&["label", "namespace", &namespace, label, "--overwrite"]);
    let on = ON.map(|value| format!("--set={value}"));
    let on: Vec<_> = on.iter().map(String::as_str).collect();
    release.install(&on);
    release.await_corrections();
    let nodes = || {
        let names = ["-o", "jsonpath={.items[*].spec.nodeName}"];
        let pods = release.kubectl(&[&["get", "pods", "-n", &namespace], &names[..]].concat());
        let mut nodes: Vec<_> = pods.split(' ').map(str::to_owned).collect();
        nodes.sort();
        nodes
    };
    // Of those on the pods' network, some may still drain.
    let await_nodes = |expected: [&str; 2]| {
        await_condition("the pods run", || nodes() == expected, || nodes().join(" "));
    };
    await_nodes(["node", "other-node"]);
    let before = release.pods();
    let changed = [&on[..], &["--set=podAnnotations.a=b"]].concat();
    let fared = release.under_traffic(|| release.upgrade(&changed));
    fared.is_flawless("a rollout on two nodes");
    let after = release.pods();
    assert!(before.iter().all(|pod| !after.contains(pod)), "{after:?}");
    await_nodes(["node", "other-node"]);
    let fared = release.under_traffic(|| release.upgrade(&["--set=hostNetwork=false"]));
    fared.is_flawless("to the pods' network");
    await_nodes(["node", "node"]);
    let fared = release.under_traffic(|| release.upgrade(&on));
    fared.is_flawless("back to the nodes' network");
    await_nodes(["node", "other-node"]);
    release.node().check();
}
