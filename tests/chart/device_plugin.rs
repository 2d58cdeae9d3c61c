//! The chart's device plugin: what it offers, and how little it may do.

use std::collections::BTreeMap;
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

/// The arguments, each by its flag's name.
fn flags(daemon_set: &Value) -> BTreeMap<String, String> {
    let container = &daemon_set["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().expect("arguments");
    let pairs = args.iter().map(|arg| {
        let arg = arg.as_str().expect("a text");
        let (flag, value) = arg.split_once('=').expect("a flag with its value");
        (flag.to_owned(), value.to_owned())
    });
    pairs.collect()
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
fn the_resource_comes_apart_into_a_domain_and_a_device_of_so_many_slots() {
    for (values, domain, name, count) in [
        (&[][..], "github.com", "fuse", 64),
        (
            &[
                "devicePlugin.resourceName=\"smarter-devices/fuse\"",
                "devicePlugin.count=1",
            ],
            "smarter-devices",
            "fuse",
            1,
        ),
        (
            &[
                "devicePlugin.resourceName=\"squat.ai/fuse-0\"",
                "devicePlugin.count=500",
            ],
            "squat.ai",
            "fuse-0",
            500,
        ),
    ] {
        let flags = flags(&daemon_set(values));
        assert_eq!(flags["--domain"], domain);
        let device: Value = serde_json::from_str(&flags["--device"]).expect("JSON");
        let group = json!({"count": count, "paths": [{"path": "/dev/fuse"}]});
        assert_eq!(device, json!({"name": name, "groups": [group]}));
    }
}

#[test]
fn by_default_it_offers_what_the_profile_root_fuse_asks_for() {
    let profiles = Profiles::built_in();
    let profile = profiles.iter().find(|profile| profile.name == "root-fuse");
    let profile = serde_json::to_value(profile.expect("a built-in profile")).expect("JSON");
    let limits = &profile["containers"]["build"]["set"]["resources"]["limits"];
    let flags = flags(&daemon_set(&[]));
    let device: Value = serde_json::from_str(&flags["--device"]).expect("JSON");
    let name = device["name"].as_str().expect("a name");
    assert_eq!(
        *limits,
        json!({format!("{}/{name}", flags["--domain"]): "1"})
    );
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
fn a_name_is_as_long_as_the_path_of_its_socket_can_be() {
    // DIR/gdp-BASE64-SECONDS.sock, in 107 bytes.
    let fits = |folder: &str, letters: usize| {
        let path = folder.len()
            + "/device-plugins/gdp-".len()
            + letters.div_ceil(3) * 4
            + "-1700000000.sock".len();
        path <= 107
    };
    for (folder, longest) in [
        ("/var/lib/kubelet", 39),
        ("/k", 39),
        ("/var/snap/microk8s/common/var/lib/kubelet", 21),
    ] {
        for letters in longest - 2..=longest + 2 {
            let name = format!("{}/fuse", "a".repeat(letters - 5));
            let resource = format!("devicePlugin.resourceName=\"{name}\"");
            let folder_value = format!("devicePlugin.kubeletFolder=\"{folder}\"");
            let result = rendered(&[&resource, &folder_value]);
            assert_eq!(
                result.is_ok(),
                letters <= longest,
                "{folder}, {letters}: {result:?}"
            );
            // The container sees the folder where it is by default.
            let both = fits(folder, letters) && fits("/var/lib/kubelet", letters);
            assert_eq!(result.is_ok(), both, "{folder}, {letters}");
        }
    }
}

#[test]
fn it_is_as_unprivileged_as_what_it_does_allows() {
    let objects = rendered(&[]).expect("it renders");
    let daemon_set = chart::the("DaemonSet", &objects);
    let spec = &daemon_set["spec"]["template"]["spec"];
    let container = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(spec["containers"][0]["securityContext"], container);
    let of_pod =
        json!({"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(spec["securityContext"], of_pod);
    for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
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
    // Nobody reaches it, and it reaches nobody: it listens to its own pod alone.
    assert_eq!(flags(daemon_set)["--listen"], "127.0.0.1:8080");
    assert!(spec["containers"][0]["ports"].is_null());
    let policy = &chart::the("NetworkPolicy", &objects)["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        (&policy["ingress"], &policy["egress"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(policy["podSelector"], daemon_set["spec"]["selector"]);
    // Of the node, the folder of sockets, and the one device that it only looks at.
    let paths = json!([
        {"name": "sockets", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}},
        {"name": "fuse", "hostPath": {"path": "/dev/fuse", "type": "CharDevice"}},
    ]);
    assert_eq!(spec["volumes"], paths);
    let mounts = json!([
        {"name": "sockets", "mountPath": "/var/lib/kubelet/device-plugins"},
        {"name": "fuse", "mountPath": "/dev/fuse", "readOnly": true},
    ]);
    assert_eq!(spec["containers"][0]["volumeMounts"], mounts);
}

#[test]
fn podseal_finds_its_two_volumes_of_the_node_against_it_and_at_restricted_that_it_is_root() {
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
                "violates PodSecurity \"baseline:latest\": hostPath volumes (volumes \"sockets\", \"fuse\")",
            ),
        ),
        (
            "restricted",
            Some(
                "violates PodSecurity \"restricted:latest\": restricted volume types (volumes \
                 \"sockets\", \"fuse\" use restricted volume type \"hostPath\"), runAsNonRoot != true \
                 (pod or container \"device-plugin\" must set securityContext.runAsNonRoot=true), \
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
            "devicePlugin.image.digest=\"sha256:0123456789012345678901234567890123456789012345678901234567890123\"",
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
        let image = spec["containers"][0]["image"].as_str().expect("an image");
        assert!(
            image.starts_with("squat/generic-device-plugin@sha256:0123"),
            "{image}"
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
