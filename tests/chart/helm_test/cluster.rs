//! The hook and the notes' commands at a real API server, with a node.

use std::sync::LazyLock;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane, await_condition, free_port};
use support::helm::helm_prints;
use support::simulated_node::Node;
use support::text;

use crate::helm_test::{CHART, with_values};

/// The commands among the notes that begin so.
fn commands(notes: &str, begin: &str) -> Vec<String> {
    let lines = notes.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with(begin))
        .map(str::to_owned)
        .collect()
}

/// No podseal is known there but those of the tests.
fn plane() -> &'static ControlPlane {
    static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| ControlPlane::start_empty(&[]));
    &PLANE
}

/// A new namespace, which holds its pods to the level restricted.
fn namespace(name: &str) {
    let labels = "{pod-security.kubernetes.io/enforce: restricted}";
    let namespace = format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}"
    );
    plane().apply(ADMIN, &namespace);
}

fn kubectl(args: &[&str]) -> String {
    let output = plane().kubectl(ADMIN, args, "");
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "kubectl {args:?}: {stderr}");
    text(&output.stdout)
}

/// Runs a command as it is printed.
fn as_printed(command: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    match words[0] {
        "helm" => helm_prints(plane(), &words[1..]),
        "kubectl" => kubectl(&words[1..]),
        _ => panic!("{command}"),
    }
}

/// The names of the configurations of the release called `release`.
fn configurations(release: &str) -> usize {
    let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
    let of_release = format!("app.kubernetes.io/instance={release}");
    kubectl(&["get", kinds, "-l", &of_release, "-o", "name"])
        .lines()
        .count()
}

/// Installs with values, and has `helm test` run: what is logged by its pod.
fn tested(namespace_name: &str, values: &[&str]) -> (Node, Vec<String>) {
    let node = Node::start(plane(), namespace_name);
    let port = format!("service.port={}", free_port());
    let args = ["install", "podseal", CHART, "--namespace", namespace_name];
    let waits = ["--wait", "--timeout", "90s"];
    // The pods of another test are none of theirs.
    let always = [
        &*port,
        "fullnameOverride=NAME",
        "webhooks.excludedNamespaces={ci}",
    ];
    let name = format!("fullnameOverride={namespace_name}");
    let always = always.map(|value| {
        if value.ends_with("=NAME") {
            &name
        } else {
            value
        }
    });
    let args = with_values(&[&args[..], &waits].concat(), &[&always, values].concat());
    helm_prints(plane(), &args);
    let test = [
        "test",
        "podseal",
        "--namespace",
        namespace_name,
        "--timeout",
        "90s",
    ];
    let told = helm_prints(plane(), &test);
    assert!(told.contains("Phase:          Succeeded"), "{told}");
    let log = node.log(&format!("{namespace_name}-probe"));
    (node, log)
}

#[test]
fn helm_test_asks_a_podseal_that_makes_its_own_certificates() {
    namespace("own");
    // Not even the configurations are needed for it to answer.
    let (node, log) = tested("own", &["webhooks.enabled=false"]);
    let last = log.last().expect("it has said something");
    assert!(
        last.starts_with("podseal at https://own.own.svc:"),
        "{log:#?}"
    );
    // Its pod is gone, and shows in the log of whoever has answered.
    let pods = kubectl(&["get", "pods", "-n", "own", "-o", "name"]);
    assert!(!pods.contains("probe"), "{pods}");
    let is_probe = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        record["user"] == "podseal:probe" && record["decision"] == "allow"
    };
    let replicas = node.replicas();
    let records = replicas.iter().flat_map(|replica| node.log(&replica.pod));
    assert_eq!(records.filter(is_probe).count(), 2, "one of each webhook");
    helm_prints(
        plane(),
        &["uninstall", "podseal", "--namespace", "own", "--wait"],
    );
    node.check();
}

#[test]
fn helm_test_takes_the_authority_from_the_values_where_they_name_it() {
    namespace("given");
    let names = ["given.given.svc".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine", "namespace": "given"},
        "stringData": {"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()},
    });
    plane().apply(ADMIN, &secret.to_string());
    let bundle = format!("certificates.existingSecret.caBundle={}", made.cert.pem());
    let values = [
        "certificates.mode=existing-secret",
        "certificates.existingSecret.name=mine",
        &bundle,
    ];
    let (node, log) = tested("given", &values);
    let last = log.last().expect("it has said something");
    assert!(
        last.starts_with("podseal at https://given.given.svc:"),
        "{log:#?}"
    );
    let left = kubectl(&["get", "configmaps", "-n", "given", "-o", "name"]);
    assert!(!left.contains("probe"), "{left}");
    helm_prints(
        plane(),
        &["uninstall", "podseal", "--namespace", "given", "--wait"],
    );
    node.check();
}

#[test]
fn the_commands_of_the_notes_do_what_is_said_in_a_release_of_any_name() {
    for name in ["seal", "ci"] {
        let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}");
        plane().apply(ADMIN, &namespace);
    }
    let told = helm_prints(plane(), &["install", "blue", CHART, "--namespace", "seal"]);
    assert_eq!(configurations("blue"), 2);
    // A namespace is labelled, and its runner named.
    for command in [
        commands(&told, "kubectl label"),
        commands(&told, "kubectl annotate"),
    ] {
        assert_eq!(command.len(), 1, "{told}");
        as_printed(&command[0]);
    }
    let mut pod = cases::fixture("default-with-service");
    pod["metadata"]["namespace"] = "ci".into();
    let create = || {
        let path = "/api/v1/namespaces/ci/pods?dryRun=All";
        plane().request(ADMIN, reqwest::Method::POST, path, Some(&pod))
    };
    let (code, refused) = create();
    assert_eq!(code, 500, "nothing serves: {refused}");
    // What is looked at is there, by these names.
    let rollout = commands(&told, "kubectl rollout status");
    assert_eq!(
        rollout,
        ["kubectl rollout status --namespace seal deployment/blue-podseal"]
    );
    as_printed("kubectl get --namespace seal deployment/blue-podseal");
    let logs = commands(&told, "kubectl logs");
    assert_eq!(logs.len(), 1, "{told}");
    let selector = logs[0]
        .split(' ')
        .find(|word| word.contains('='))
        .expect("a selector");
    let (key, value) = selector.split_once('=').expect("a label");
    let deployment = as_printed("kubectl get --namespace seal deployment/blue-podseal -o json");
    let deployment: Value = serde_json::from_str(&deployment).expect("JSON");
    assert_eq!(
        deployment["spec"]["template"]["metadata"]["labels"][key],
        value
    );
    // Break glass.
    let delete = commands(&told, "kubectl delete");
    assert_eq!(delete.len(), 1, "{told}");
    as_printed(&delete[0]);
    assert_eq!(configurations("blue"), 0);
    // An API server sees it a moment later.
    let is_created = || create().0 == 201;
    await_condition("a pod is created", is_created, || create().1.to_string());
    // Until the next upgrade, unless a value says otherwise.
    let upgrade = ["upgrade", "blue", CHART, "--namespace", "seal"];
    helm_prints(plane(), &upgrade);
    assert_eq!(configurations("blue"), 2);
    helm_prints(plane(), &with_values(&upgrade, &["webhooks.enabled=false"]));
    assert_eq!(configurations("blue"), 0);
    // Helm keeps the values of before where none are given.
    helm_prints(plane(), &upgrade);
    assert_eq!(configurations("blue"), 0);
    helm_prints(plane(), &with_values(&upgrade, &["webhooks.enabled=true"]));
    assert_eq!(configurations("blue"), 2);
    as_printed(&commands(&told, "helm uninstall")[0]);
    assert_eq!(configurations("blue"), 0);
}
