//! Another plugin, which podseal's chart ran until 0.2.0.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::chart;

use super::{args, container, daemon_set, rendered};

const ANOTHER: &str = "devicePlugin.image.repository=\"squat/generic-device-plugin\"";
const DIGEST: &str = "devicePlugin.image.digest=\"sha256:0123456789012345678901234567890123456789012345678901234567890123\"";

/// The arguments, each by its flag's name.
fn flags(daemon_set: &Value) -> BTreeMap<&str, &str> {
    let pairs = args(daemon_set).into_iter();
    pairs
        .map(|arg| arg.split_once('=').expect("a flag with its value"))
        .collect()
}

#[test]
fn it_gets_its_own_arguments_and_the_device_instead_of_the_nodes_dev() {
    let objects = rendered(&[ANOTHER, DIGEST, "devicePlugin.image.pullPolicy=\"Never\""]);
    let objects = objects.expect("it renders");
    let daemon_set = chart::the("DaemonSet", &objects);
    let container = container(daemon_set);
    let image = container["image"].as_str().expect("an image");
    assert!(
        image.starts_with("squat/generic-device-plugin@sha256:0123"),
        "{image}"
    );
    assert_eq!(container["imagePullPolicy"], "Never");
    assert!(container["ports"].is_null() && container["livenessProbe"].is_null());
    // Nobody reaches it, and it reaches nobody: it listens to its own pod alone.
    assert_eq!(flags(daemon_set)["--listen"], "127.0.0.1:8080");
    let policy = &chart::the("NetworkPolicy", &objects)["spec"];
    assert_eq!(policy["ingress"], Value::Null);
    let paths = json!([
        {"name": "sockets", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}},
        {"name": "fuse", "hostPath": {"path": "/dev/fuse", "type": "CharDevice"}},
    ]);
    assert_eq!(daemon_set["spec"]["template"]["spec"]["volumes"], paths);
    let mounts = json!([
        {"name": "sockets", "mountPath": "/var/lib/kubelet/device-plugins"},
        {"name": "fuse", "mountPath": "/dev/fuse", "readOnly": true},
    ]);
    assert_eq!(container["volumeMounts"], mounts);
}

#[test]
fn the_values_of_0_2_0_render_what_they_rendered_or_are_refused_with_what_to_do() {
    // As --reuse-values hands them over, with the defaults of 0.2.0.
    let reused = [ANOTHER, "devicePlugin.image.tag=\"latest\""];
    let image = container(&daemon_set(&reused))["image"].clone();
    assert_eq!(image, "squat/generic-device-plugin:latest");
    assert_eq!(container(&daemon_set(&[ANOTHER]))["image"], image);
    // What somebody set who left the repository at its default.
    for values in [&[DIGEST][..], &["devicePlugin.image.tag=\"0123abc\""]] {
        let error = rendered(values).expect_err("a refusal");
        let told = "keep the plugin of podseal 0.2.0 with \
                    devicePlugin.image.repository=squat/generic-device-plugin";
        assert!(error.contains(told), "{error}");
    }
    let monitored = rendered(&[ANOTHER, "metrics.podMonitor.enabled=true"]).expect("it renders");
    assert!(
        monitored
            .iter()
            .all(|object| object["kind"] != "PodMonitor"),
        "it has no port"
    );
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
        let plugin = daemon_set(&[&[ANOTHER], values].concat());
        let flags = flags(&plugin);
        assert_eq!(flags["--domain"], domain);
        let device: Value = serde_json::from_str(flags["--device"]).expect("JSON");
        let group = json!({"count": count, "paths": [{"path": "/dev/fuse"}]});
        assert_eq!(device, json!({"name": name, "groups": [group]}));
    }
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
            let result = rendered(&[ANOTHER, &resource, &folder_value]);
            assert_eq!(
                result.is_ok(),
                letters <= longest,
                "{folder}, {letters}: {result:?}"
            );
            // podseal's own has a short name.
            assert!(
                rendered(&[&resource, &folder_value]).is_ok(),
                "{folder}, {letters}"
            );
            // The container sees the folder where it is by default.
            let both = fits(folder, letters) && fits("/var/lib/kubelet", letters);
            assert_eq!(result.is_ok(), both, "{folder}, {letters}");
        }
    }
}
