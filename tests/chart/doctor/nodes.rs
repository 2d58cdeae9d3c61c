//! Which profile works on which kind of node.

use reqwest::Method;
use serde_json::{Value, json};
use support::controlplane::ADMIN;

use super::{Site, doctor, doctor_prints, finding};
use crate::release::Release;

/// A node, as its kubelet reports it.
fn add(release: &Release, name: &str, status: &Value) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    release.plane.apply(ADMIN, &node.to_string());
    let path = format!("/api/v1/nodes/{name}/status");
    let patch =
        json!({"metadata": {"name": name}, "apiVersion": "v1", "kind": "Node", "status": status});
    let (code, answer) = release.plane.request(ADMIN, Method::GET, &path, None);
    assert_eq!(code, 200, "{answer:#}");
    let mut node = answer;
    node["status"] = patch["status"].clone();
    let (code, answer) = release
        .plane
        .request(ADMIN, Method::PUT, &path, Some(&node));
    assert_eq!(code, 200, "{answer:#}");
}

fn status(kernel: &str, os: &str, fuse: Option<&str>) -> Value {
    let mut allocatable = json!({"cpu": "2", "memory": "4Gi", "pods": "110"});
    if let Some(count) = fuse {
        allocatable["github.com/fuse"] = count.into();
    }
    json!({
        "allocatable": allocatable,
        "nodeInfo": {
            "kubeletVersion": "v1.37.1", "kernelVersion": kernel, "osImage": os,
            "containerRuntimeVersion": "containerd://2.1.9", "operatingSystem": "linux",
            "architecture": "amd64", "bootID": "b", "kubeProxyVersion": "", "machineID": "m",
            "systemUUID": "u",
        },
        "runtimeHandlers": [{"name": "", "features": {"userNamespaces": true}}],
    })
}

/// Takes the nodes along.
struct Nodes<'r>(&'r Release, &'static [&'static str]);

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        let delete = [&["delete", "node", "--ignore-not-found"][..], self.1].concat();
        self.0.plane.kubectl(ADMIN, &delete, "");
    }
}

#[test]
fn kinds_of_nodes_are_told_apart_by_what_matters_to_a_profile() {
    let release = Site::new("kinds");
    let _nodes = Nodes(&release, &["old", "new-a", "new-b", "ubuntu"]);
    add(
        &release,
        "old",
        &status("5.10.0-32-amd64", "Wolfi", Some("64")),
    );
    add(&release, "new-a", &status("6.18.2", "Wolfi", None));
    add(&release, "new-b", &status("6.18.2", "Wolfi", Some("0")));
    add(
        &release,
        "ubuntu",
        &status("6.8.0-40-generic", "Ubuntu 24.04.1 LTS", None),
    );
    let (code, report) = doctor(&release, ADMIN);
    assert_eq!(code, 0, "{report:#}");
    let profiles = report["nodes"]["profiles"]
        .as_array()
        .expect("profiles")
        .clone();
    let kinds = report["nodes"]["kinds"].as_array().expect("kinds").clone();
    let of = |node: &str, profile: &str| {
        let has = |kind: &&Value| {
            kind["nodes"]
                .as_array()
                .expect("names")
                .contains(&json!(node))
        };
        let kind = kinds.iter().find(has).expect("its kind");
        let at = profiles
            .iter()
            .position(|name| name == profile)
            .expect("the profile");
        kind["profiles"][at].clone()
    };
    assert_eq!(of("new-a", "root"), of("new-b", "root"));
    assert_eq!(of("old", "root")["works"], "no");
    assert_eq!(of("old", "userns")["works"], "no");
    assert_eq!(of("old", "root-fuse")["works"], "unknown");
    assert_eq!(
        of("new-a", "root-fuse")["reason"],
        "no device plugin offers github.com/fuse"
    );
    let doubt = of("ubuntu", "root")["reason"]
        .as_str()
        .expect("a reason")
        .to_owned();
    assert!(
        doubt.contains("AppArmor") && doubt.contains("userns"),
        "{doubt}"
    );
    let (_, table) = doctor_prints(&release, ADMIN, &[]);
    assert!(table.contains("\n  best: userns"), "{table}");
    assert!(table.contains("(2 nodes: new-a, new-b)"), "{table}");
}

#[test]
fn a_profile_that_works_on_no_node_is_wrong_and_the_best_one_is_named() {
    let release = Site::new("nofuse");
    let _nodes = Nodes(&release, &["plain"]);
    add(&release, "plain", &status("6.18.2", "Wolfi", None));
    release.label("podseal.io/profile=root-fuse");
    let (code, report) = doctor(&release, ADMIN);
    let found = finding(&report, "no-node").expect("an error");
    assert_eq!(code, 1, "{report:#}");
    let fix = format!(
        " label namespace {} --overwrite podseal.io/profile=userns",
        release.jobs
    );
    let command = found["fix"].as_str().expect("a command");
    assert!(command.ends_with(&fix), "{command}");
    let plugin = finding(&report, "fuse-missing").expect("a warning");
    assert_eq!(plugin["page"], "docs/nodes.md#the-device-plugin");
}
