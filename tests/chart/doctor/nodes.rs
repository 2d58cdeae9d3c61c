//! Which profile works on which kind of node.

use reqwest::Method;
use serde_json::{Value, json};
use support::controlplane::ADMIN;

use super::{Site, doctor, doctor_prints, finding};
use crate::release::Release;

/// A node, as its kubelet reports it.
pub(super) fn add(release: &Release, name: &str, status: &Value) {
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

pub(super) fn status(kernel: &str, os: &str, fuse: Option<&str>) -> Value {
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
pub(super) struct Nodes<'r>(pub(super) &'r Release, pub(super) &'static [&'static str]);

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        let delete = [&["delete", "node", "--ignore-not-found"][..], self.1].concat();
        self.0.plane.kubectl(ADMIN, &delete, "");
    }
}

/// What the report says of a profile on a node.
pub(super) fn of(report: &Value, node: &str, profile: &str) -> Value {
    let array = |value: &Value| value.as_array().expect("a list").clone();
    let profiles = array(&report["nodes"]["profiles"]);
    let at = profiles.iter().position(|name| name == profile);
    let at = at.unwrap_or_else(|| panic!("{profile}: {report:#}"));
    let mut kinds = array(&report["nodes"]["kinds"]).into_iter();
    let kind = kinds.find(|kind| array(&kind["nodes"]).contains(&json!(node)));
    let kind = kind.unwrap_or_else(|| panic!("{node}: {report:#}"));
    kind["profiles"][at].clone()
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
    let of = |node: &str, profile: &str| of(&report, node, profile);
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
    let in_one_line = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(in_one_line.contains("(2 nodes: new-a, new-b)"), "{table}");
    assert!(table.contains("excluded on 1 of 4 nodes"), "{table}");
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
    // One of two ways; the other is the plugin's command.
    assert_eq!(found["fix"], Value::Null, "{found:#}");
    let plugin = finding(&report, "fuse-missing").expect("a warning");
    assert_eq!(plugin["page"], "docs/nodes.md#the-device-plugin");
    let command = report["nodes"]["best"]["command"].as_str().unwrap_or("");
    let fix = format!(
        " label namespace {} --overwrite podseal.io/profile=userns",
        release.jobs
    );
    assert!(command.ends_with(&fix), "{command}");
}

#[test]
fn where_no_profile_works_the_doctor_says_what_to_change() {
    let release = Site::new("old");
    let _nodes = Nodes(&release, &["old"]);
    add(&release, "old", &status("5.10.0-32-amd64", "Wolfi", None));
    let (_, report) = doctor(&release, ADMIN);
    let found = finding(&report, "no-profile").expect("a warning");
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    assert!(text("why").contains("rootless: Linux 5.10.0"), "{found:#}");
    assert!(
        text("why").contains("root-fuse: no device plugin"),
        "{found:#}"
    );
    assert!(
        text("fix").contains("devicePlugin.enabled=true"),
        "{found:#}"
    );
    let (_, table) = doctor_prints(&release, ADMIN, &[]);
    assert!(table.contains("\n  best: none\n"), "{table}");
}

#[test]
fn nodes_that_jobs_do_not_tolerate_are_told_and_do_not_choose_the_profile() {
    let release = Site::new("tainted");
    let _nodes = Nodes(&release, &["worker", "control-plane"]);
    let without = |status: &Value| {
        let mut status = status.clone();
        status["runtimeHandlers"] = json!([]);
        status
    };
    let plain = status("6.18.2", "Wolfi", Some("64"));
    add(&release, "worker", &without(&plain));
    add(&release, "control-plane", &plain);
    let taint = "node-role.kubernetes.io/control-plane:NoSchedule";
    release.kubectl(&["taint", "node", "control-plane", taint]);
    let (_, report) = doctor(&release, ADMIN);
    assert_eq!(report["nodes"]["best"]["profile"], "rootless", "{report:#}");
    let found = finding(&report, "taint").expect("it is there");
    assert_eq!(found["severity"], "ok", "{found:#}");
    let what = found["what"].as_str().expect("text");
    assert!(
        what.starts_with(&format!("control-plane: taint {taint}")),
        "{what}"
    );
    assert_eq!(
        report["nodes"]["kinds"][0]["resources"]["github.com/fuse"],
        64
    );
    let toleration = ["-o", "json", "--toleration", taint];
    let (_, tolerated) = doctor_prints(&release, ADMIN, &toleration);
    let tolerated: Value = serde_json::from_str(&tolerated).expect("JSON");
    assert_eq!(finding(&tolerated, "taint"), None, "{tolerated:#}");
}

#[test]
fn nodes_that_leave_and_devices_that_nobody_requests_make_no_kinds() {
    let release = Site::new("fleet");
    let names: &[&str] = &["a", "b", "c"];
    let _nodes = Nodes(&release, &["a", "b", "c"]);
    for (number, name) in names.iter().enumerate() {
        let mut status = status("6.18.2", "Wolfi", None);
        status["allocatable"][format!("example.com/device-{number}")] = "1".into();
        add(&release, name, &status);
        let taint = format!("ToBeDeletedByClusterAutoscaler={number}:NoSchedule");
        release.kubectl(&["taint", "node", name, &taint]);
    }
    let (_, report) = doctor(&release, ADMIN);
    assert_eq!(
        report["nodes"]["kinds"][0]["nodes"],
        json!(names),
        "{report:#}"
    );
}
