//! The chart's device plugin: what it offers, and how little it may do.

mod another;

use std::process::Command;

use admission::profile::Profiles;
use serde_json::{Value, json};
use support::controlplane::ADMIN;
use support::{chart, text};

use crate::PLANE;

fn rendered(values: &[&str]) -> Result<Vec<Value>, String> {
    let mut all = vec!["devicePlugin.enabled=true"];
    all.extend(values);
    chart::rendered("deviceplugin", &all)
}

fn daemon_set(values: &[&str]) -> Value {
    let objects = rendered(values).expect("it renders");
    chart::the("DaemonSet", &objects).clone()
}

fn container(daemon_set: &Value) -> &Value {
    &daemon_set["spec"]["template"]["spec"]["containers"][0]
}

fn args(daemon_set: &Value) -> Vec<&str> {
    let args = container(daemon_set)["args"].as_array().expect("arguments");
    args.iter()
        .map(|arg| arg.as_str().expect("a text"))
        .collect()
}

/// A pod as the DaemonSet's controller makes it.
fn pod(daemon_set: &Value, namespace: &str) -> Value {
    let mut pod = daemon_set["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("podseal-fuse-x");
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

#[test]
fn it_is_podseals_own_plugin_of_podseals_own_image() {
    let webhook = chart::rendered("deployment", &[]).expect("it renders");
    let webhook = chart::the("Deployment", &webhook).clone();
    let plugin = daemon_set(&[
        "devicePlugin.resourceName=\"a.test/b-c\"",
        "devicePlugin.count=7",
    ]);
    assert_eq!(container(&plugin)["image"], container(&webhook)["image"]);
    let expected = [
        "device-plugin",
        "--resource=a.test/b-c",
        "--count=7",
        "--node-dev=/node/dev",
        "--log-format=json",
    ];
    assert_eq!(args(&plugin), expected);
    // The program knows them: it gets as far as the folder, which this machine lacks.
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .args(&expected[..3])
        .args(["--node-dev=/", "--kubelet-dir=/nowhere"]);
    let output = support::run(command, "");
    let error = text(&output.stderr);
    assert!(
        error.contains("cannot use --kubelet-dir /nowhere"),
        "{error}"
    );
    let digest = format!("sha256:{:064}", 3);
    let values = [
        "image.repository=\"registry.test/ours\"".to_owned(),
        format!("image.digest=\"{digest}\""),
        "image.pullPolicy=\"Always\"".to_owned(),
    ];
    let plugin = daemon_set(&values.each_ref().map(String::as_str));
    assert_eq!(
        container(&plugin)["image"],
        format!("registry.test/ours@{digest}")
    );
    assert_eq!(container(&plugin)["imagePullPolicy"], "Always");
}

#[test]
fn by_default_it_offers_what_the_profile_root_fuse_asks_for() {
    let profiles = Profiles::built_in();
    let profile = profiles.iter().find(|profile| profile.name == "root-fuse");
    let profile = serde_json::to_value(profile.expect("a built-in profile")).expect("JSON");
    let limits = &profile["containers"]["build"]["set"]["resources"]["limits"];
    let plugin = daemon_set(&[]);
    let args = args(&plugin);
    let resource = args.iter().find_map(|arg| arg.strip_prefix("--resource="));
    assert_eq!(*limits, json!({resource.expect("a name"): "1"}));
}

#[test]
fn a_name_that_the_plugin_would_refuse_is_refused_by_the_chart() {
    let told = |value: &str| rendered(&[value]).expect_err(value);
    for name in [
        "fuse",
        "github.com/f",
        "github.com/Fuse",
        "github.com/a.b",
        "github.com/-a",
        "a/b/cc",
        "/fuse",
        "",
    ] {
        let error = told(&format!("devicePlugin.resourceName=\"{name}\""));
        assert!(
            error.contains("/devicePlugin/resourceName"),
            "{name}: {error}"
        );
    }
    let error = told("devicePlugin.count=0");
    assert!(error.contains("/devicePlugin/count"), "{error}");
}

#[test]
fn it_is_as_unprivileged_as_what_it_does_allows() {
    let objects = rendered(&[]).expect("it renders");
    let daemon_set = chart::the("DaemonSet", &objects);
    let spec = &daemon_set["spec"]["template"]["spec"];
    let expected = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(container(daemon_set)["securityContext"], expected);
    let of_pod =
        json!({"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(spec["securityContext"], of_pod);
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(spec[field].is_null(), "{field}");
    }
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["enableServiceLinks"], false);
    // Its service account has no token by itself, and no role in this chart.
    let account = chart::the("ServiceAccount", &objects);
    assert_eq!(account["metadata"]["name"], spec["serviceAccountName"]);
    assert_eq!(account["automountServiceAccountToken"], false);
    assert!(objects.iter().all(|object| {
        !object["kind"]
            .as_str()
            .is_some_and(|kind| kind.contains("Role"))
    }));
    // Of the node, the folder of sockets, and /dev without its terminals, and without the memory and
    // the messages that processes share. A node may lack some of these folders.
    let paths = json!([
        {"name": "sockets", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}},
        {"name": "dev", "hostPath": {"path": "/dev", "type": "Directory"}},
        {"name": "nothing", "emptyDir": {}},
        {"name": "hugepages", "hostPath": {"path": "/dev/hugepages", "type": "DirectoryOrCreate"}},
        {"name": "mqueue", "hostPath": {"path": "/dev/mqueue", "type": "DirectoryOrCreate"}},
    ]);
    assert_eq!(spec["volumes"], paths);
    let mounts = json!([
        {"name": "sockets", "mountPath": "/var/lib/kubelet/device-plugins"},
        {"name": "dev", "mountPath": "/node/dev", "readOnly": true, "recursiveReadOnly": "IfPossible"},
        {"name": "nothing", "mountPath": "/node/dev/pts", "readOnly": true},
        {"name": "nothing", "mountPath": "/node/dev/shm", "readOnly": true},
        {"name": "nothing", "mountPath": "/node/dev/hugepages", "readOnly": true},
        {"name": "nothing", "mountPath": "/node/dev/mqueue", "readOnly": true},
    ]);
    assert_eq!(container(daemon_set)["volumeMounts"], mounts);
    // The kubelet makes a folder only for a container that mounts it: one that ends at once.
    let first = json!([{
        "name": "mount-points",
        "image": container(daemon_set)["image"],
        "imagePullPolicy": container(daemon_set)["imagePullPolicy"],
        "args": ["--version"],
        "resources": container(daemon_set)["resources"],
        "securityContext": expected,
        "volumeMounts": [
            {"name": "hugepages", "mountPath": "/node/hugepages", "readOnly": true},
            {"name": "mqueue", "mountPath": "/node/mqueue", "readOnly": true},
        ],
    }]);
    assert_eq!(spec["initContainers"], first);
}

#[test]
fn it_is_probed_and_its_metrics_are_open_to_whom_those_of_podseal_are() {
    let objects = rendered(&[]).expect("it renders");
    let daemon_set = chart::the("DaemonSet", &objects);
    let container = container(daemon_set);
    assert_eq!(
        container["ports"],
        json!([{"name": "status", "containerPort": 8080}])
    );
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let expected = json!({"path": path, "port": "status"});
        assert_eq!(container[probe]["httpGet"], expected, "{probe}");
    }
    // The node reaches its pods whatever a policy says.
    let policy = &chart::the("NetworkPolicy", &objects)["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        (&policy["ingress"], &policy["egress"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(policy["podSelector"], daemon_set["spec"]["selector"]);
    assert!(objects.iter().all(|object| object["kind"] != "PodMonitor"));

    let prometheus = json!([{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]);
    let objects = rendered(&[
        "devicePlugin.namespace=\"devices\"",
        "metrics.podMonitor.enabled=true",
        &format!("networkPolicy.metricsFrom={prometheus}"),
    ]);
    let objects = objects.expect("it renders");
    let policy = &chart::the("NetworkPolicy", &objects)["spec"];
    assert_eq!(
        policy["ingress"],
        json!([{"ports": [{"port": "status"}], "from": prometheus}])
    );
    let monitor = chart::the("PodMonitor", &objects);
    assert_eq!(monitor["metadata"]["namespace"], "devices");
    assert_eq!(monitor["spec"]["selector"], daemon_set["spec"]["selector"]);
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(
        (&endpoint["port"], &endpoint["path"]),
        (&json!("status"), &json!("/metrics"))
    );
    let job = &monitor["metadata"]["name"];
    assert_eq!(
        endpoint["relabelings"][0],
        json!({"targetLabel": "job", "replacement": job})
    );
}

#[test]
fn podseal_finds_its_volumes_of_the_node_against_it_and_at_restricted_that_it_is_root() {
    let pod = pod(&daemon_set(&[]), "podseal");
    for (level, violated) in [
        ("baseline", &["volumes"][..]),
        ("restricted", &["runAsNonRoot", "runAsUser", "volumes"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args([
            "review",
            "-o",
            "json",
            "--profile",
            "none",
            "--level",
            level,
            "-",
        ]);
        let output = support::run(command, &pod.to_string());
        let line: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        let violations = line["violations"].as_array().expect("violations");
        let mut controls: Vec<_> = violations
            .iter()
            .map(|v| v["control"].as_str().unwrap_or_default())
            .collect();
        controls.sort_unstable();
        controls.dedup();
        assert_eq!(controls, violated, "{level}");
    }
}

fn namespace(name: &str, enforced: &str) {
    let labels = json!({"pod-security.kubernetes.io/enforce": enforced});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    PLANE.apply(ADMIN, &namespace.to_string());
}

#[test]
fn pod_security_admission_has_the_same_against_it_and_nothing_else() {
    let daemon_set = daemon_set(&[]);
    for (level, told) in [
        ("privileged", None),
        (
            "baseline",
            Some(
                "violates PodSecurity \"baseline:latest\": hostPath volumes (volumes \"sockets\", \"dev\", \
                 \"hugepages\", \"mqueue\")",
            ),
        ),
        (
            "restricted",
            Some(
                "violates PodSecurity \"restricted:latest\": restricted volume types (volumes \
                 \"sockets\", \"dev\", \"hugepages\", \"mqueue\" use restricted volume type \"hostPath\"), \
                 runAsNonRoot != true (pod or containers \"mount-points\", \"device-plugin\" must set \
                 securityContext.runAsNonRoot=true), \
                 runAsUser=0 (pod must not set runAsUser=0)",
            ),
        ),
    ] {
        namespace(level, level);
        let args = ["create", "--dry-run=server", "-f", "-"];
        let output = PLANE.kubectl(ADMIN, &args, &pod(&daemon_set, level).to_string());
        let said = text(&output.stderr);
        match told {
            None => assert!(output.status.success(), "{said}"),
            Some(told) => assert!(said.trim_end().ends_with(told), "{said}"),
        }
    }
}

#[test]
fn the_api_server_takes_it_into_a_namespace_of_its_own_and_jobs_may_ask_for_the_resource() {
    namespace("devices", "privileged");
    for resource in [
        "github.com/fuse",
        "smarter-devices/fuse",
        "nextflow.io/fuse-0",
    ] {
        let resource_value = format!("devicePlugin.resourceName=\"{resource}\"");
        let objects = rendered(&[
            &resource_value,
            "devicePlugin.namespace=\"devices\"",
            "devicePlugin.tolerations=[{\"key\": \"builds\", \"operator\": \"Exists\"}]",
            "devicePlugin.nodeSelector={\"pool\": \"builds\"}",
            "devicePlugin.seLinuxOptions={\"type\": \"container_device_plugin_t\"}",
        ]);
        let objects = objects.expect("it renders");
        assert!(
            objects
                .iter()
                .all(|object| object["metadata"]["namespace"] == "devices")
        );
        let spec = &chart::the("DaemonSet", &objects)["spec"]["template"]["spec"];
        assert_eq!(
            spec["nodeSelector"],
            json!({"kubernetes.io/os": "linux", "pool": "builds"})
        );
        assert_eq!(
            spec["tolerations"],
            json!([{"key": "builds", "operator": "Exists"}])
        );
        assert_eq!(
            spec["securityContext"]["seLinuxOptions"],
            json!({"type": "container_device_plugin_t"})
        );
        let create = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        let output = PLANE.kubectl(ADMIN, &create, &chart::manifests(&objects));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let job = json!({
            "metadata": {"name": "job", "namespace": "devices"},
            "spec": {"containers": [{"name": "build", "image": "x", "resources": {"limits": {resource: "1"}}}]},
        });
        let (code, answer) = PLANE.try_pod("devices", &job);
        assert_eq!(code, 201, "{answer}");
    }
}
