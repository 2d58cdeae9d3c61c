//! A real API server that knows every kind the chart can render, and takes
//! renderings on trial.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane};
use support::text;

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crds");

/// Namespaces that renderings are tried in. The first two hold pods to the
/// level restricted; the second one's name reads as a number.
const NAMESPACES: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: podseal, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: "123", labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ci}}
"#;

/// The cluster that all tests share. Nothing is ever stored by them.
pub(crate) static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane = ControlPlane::start();
    plane.apply(ADMIN, NAMESPACES);
    // What podseal of other tests may do has the names of the chart's.
    run(
        &plane,
        &["delete", "clusterrole,clusterrolebinding", "podseal"],
    );
    let mut apply = vec!["apply", "--server-side"];
    let definitions = definitions();
    let definitions = definitions.iter().map(|path| path.to_str().expect("UTF-8"));
    apply.extend(definitions.flat_map(|path| ["-f", path]));
    run(&plane, &apply);
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    run(&plane, &established);
    plane
});

fn run(plane: &ControlPlane, args: &[&str]) {
    let output = plane.kubectl(ADMIN, args, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Tries a rendering: nothing is stored, and fields that the API server does not
/// know are refused.
pub(crate) fn try_out(rendering: &str) -> Result<(), String> {
    let args = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
    ];
    let output = CLUSTER.kubectl(ADMIN, &args, rendering);
    match output.status.success() {
        true => Ok(()),
        false => Err(text(&output.stderr)),
    }
}

/// Tries the pod that a workload of a rendering would make.
pub(crate) fn try_pod_of(workload: &Value) -> (u16, Value) {
    let namespace = workload["metadata"]["namespace"].as_str();
    let namespace = namespace.expect("it is in a namespace");
    let mut pod = workload["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["generateName"] = json!("try-");
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
    CLUSTER.request(ADMIN, reqwest::Method::POST, &path, Some(&pod))
}

/// The definitions of all custom resources that the chart can render.
fn definitions() -> Vec<PathBuf> {
    let files = [
        (
            "cert-manager",
            "deploy/crds/cert-manager.io_certificates.yaml",
        ),
        ("cert-manager", "deploy/crds/cert-manager.io_issuers.yaml"),
        (
            "prometheus-operator",
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        ),
        (
            "prometheus-operator",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ),
    ];
    let in_module =
        |(name, file): (&str, &str)| module(&format!("github.com/{name}/{name}")).join(file);
    let own = Path::new(CRDS).join("securitycontextconstraints.yaml");
    files.map(in_module).into_iter().chain([own]).collect()
}

/// Where Go keeps the files of a module that `tests/crds/go.mod` pins.
fn module(path: &str) -> PathBuf {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", path])
        .current_dir(CRDS);
    let output = go.output().unwrap_or_else(|error| {
        panic!("go does not run ({error}); the custom resources come as Go modules: install Go")
    });
    let module: Value = serde_json::from_slice(&output.stdout).expect("go answers JSON");
    assert!(output.status.success(), "{module:#}");
    PathBuf::from(module["Dir"].as_str().expect("a folder"))
}
