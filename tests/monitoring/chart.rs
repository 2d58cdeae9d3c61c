//! The chart's objects, by the real helm.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{run, text};

const MONITORING: [&str; 3] = [
    "metrics.podMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
];

/// What the chart renders for the release NAME in NAMESPACE, with these values.
pub(crate) fn rendered(name: &str, namespace: &str, values: &[&str]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let build = Command::new(root.join("tests/controlplane/build.sh"))
        .stderr(Stdio::inherit())
        .output()
        .expect("bash can be started");
    assert!(build.status.success(), "helm could not be built");
    let home = tempfile::tempdir().expect("a folder");
    let mut helm = Command::new(Path::new(text(&build.stdout).trim()).join("helm"));
    helm.args(["template", name, "charts/podseal", "--namespace", namespace]);
    helm.current_dir(root).env("HOME", home.path());
    for value in MONITORING.iter().chain(values) {
        helm.args(["--set", value]);
    }
    let output = run(helm, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let objects = text(&output.stdout);
    let objects = serde_saphyr::from_multiple(&objects).expect("the chart renders YAML");
    objects.into_iter().filter(Value::is_object).collect()
}

/// The one object of this kind among `objects`.
pub(crate) fn only<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("a {kind}"));
    assert!(found.next().is_none(), "one {kind}");
    first
}

/// The rules of a release `podseal` in the namespace `podseal`.
pub(crate) fn rules(values: &[&str]) -> Value {
    only(&rendered("podseal", "podseal", values), "PrometheusRule")["spec"].clone()
}
