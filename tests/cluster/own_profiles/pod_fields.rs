//! Fields of the pod itself that a profile can set: its groups, runtime class and nodes.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER};

use crate::own_profiles::{CLUSTER, without_namespace};

/// Profiles, and what they set.
pub(crate) const PROFILES: [(&str, &str); 3] = [
    (
        "pod-fields",
        "pod:
  set:
    securityContext:
      fsGroup: 1000
      fsGroupChangePolicy: OnRootMismatch
      supplementalGroups: [2000, 2001]
    runtimeClassName: podman-vm
    nodeSelector: {pool: builds}
    tolerations:
    - {key: builds, value: \"yes\", effect: NoSchedule}
    - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
",
    ),
    ("keep-user", "keepUser: true\n"),
    ("no-such-class", "pod: {set: {runtimeClassName: no-such-class}}\n"),
];

/// Creates the pod, and once more as it was stored, which changes nothing.
fn created(profile: &str, pod: &Value) -> Value {
    let namespace = CLUSTER.namespace(Some(profile), "baseline");
    let (code, first) = CLUSTER.plane.try_pod(&namespace, pod);
    assert_eq!(code, 201, "{profile}: {first:#}");
    let mut again = without_namespace(first.clone());
    again["metadata"] = json!({"generateName": "again-", "labels": pod["metadata"]["labels"],
        "annotations": first["metadata"]["annotations"]});
    let (code, second) = CLUSTER.plane.try_pod(&namespace, &again);
    assert_eq!(code, 201, "{profile}: {second:#}");
    assert_eq!(first["spec"], second["spec"]);
    first
}

fn job() -> Value {
    without_namespace(cases::fixture("default-with-service"))
}

#[test]
fn groups_runtime_class_and_nodes_are_set_and_lists_are_added_to() {
    let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
        "metadata": {"name": "podman-vm"}, "handler": "vm",
        "overhead": {"podFixed": {"memory": "64Mi"}}});
    CLUSTER.plane.apply(ADMIN, &class.to_string());
    let mut pod = job();
    pod["spec"]["securityContext"] = json!({"supplementalGroups": [3000, 2000]});
    pod["spec"]["nodeSelector"] = json!({"pool": "small", "zone": "a"});
    pod["spec"]["tolerations"] = json!([{"key": "theirs", "operator": "Exists"}]);
    let stored = created("pod-fields", &pod);
    let (spec, context) = (&stored["spec"], &stored["spec"]["securityContext"]);
    assert_eq!(context["fsGroup"], 1000);
    assert_eq!(context["fsGroupChangePolicy"], "OnRootMismatch");
    assert_eq!(context["supplementalGroups"], json!([3000, 2000, 2001]));
    assert_eq!(spec["runtimeClassName"], "podman-vm");
    assert_eq!(
        spec["overhead"]["memory"], "64Mi",
        "the API server's own part"
    );
    assert_eq!(spec["nodeSelector"], json!({"pool": "builds", "zone": "a"}));
    let tolerations = spec["tolerations"].as_array().expect("tolerations");
    let has = |key: &str| tolerations.iter().filter(|one| one["key"] == key).count();
    assert_eq!((has("theirs"), has("builds")), (1, 1), "{tolerations:?}");
    let keys = tolerations.iter().map(|one| one["key"].clone());
    let keys: std::collections::BTreeSet<_> = keys.map(|key| key.to_string()).collect();
    assert_eq!(keys.len(), tolerations.len(), "none twice: {tolerations:?}");
}

#[test]
fn a_user_other_than_root_stays_where_the_profile_keeps_it() {
    let user = |pod: &Value, name: &str| {
        let containers = pod["spec"]["containers"].as_array().expect("containers");
        let found = containers.iter().find(|one| one["name"] == name);
        found.expect("a container")["securityContext"]["runAsUser"].clone()
    };
    for (profile, asked, expected) in [
        ("keep-user", Some(1001), 1001),
        ("keep-user", Some(0), 1000),
        ("keep-user", None, 1000),
        ("rootless", Some(1001), 1000),
    ] {
        let mut pod = job();
        if let Some(asked) = asked {
            pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": asked});
        }
        let stored = created(profile, &pod);
        for container in ["build", "helper"] {
            assert_eq!(
                user(&stored, container),
                expected,
                "{profile} {asked:?} {container}"
            );
        }
    }
}

#[test]
fn the_pod_of_a_profile_is_refused_where_its_runtime_class_is_unknown() {
    let namespace = CLUSTER.namespace(Some("no-such-class"), "baseline");
    let args = ["create", "-n", &namespace, "-f", "-"];
    let output = CLUSTER.plane.kubectl(RUNNER, &args, &job().to_string());
    let stderr = support::text(&output.stderr);
    assert!(
        stderr.contains("RuntimeClass \"no-such-class\" not found"),
        "{stderr}"
    );
}
