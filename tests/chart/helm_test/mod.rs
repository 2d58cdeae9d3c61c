//! `helm test`, and the notes that tell of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use support::helm::CHART;
use support::{run, text};

mod cluster;
mod hook;
mod notes;

/// The real helm without a cluster. It reads nothing that the person at this
/// machine has set up.
fn offline(home: &Path, args: &[&str]) -> Output {
    static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
        let output = run(Command::new(script), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        Path::new(text(&output.stdout).trim()).join("helm")
    });
    let mut command = Command::new(&*HELM);
    command.env_clear().env("HOME", home).args(args);
    run(command, "")
}

fn printed(args: &[&str]) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let output = offline(home.path(), args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn with_values<'a>(args: &[&'a str], values: &[&'a str]) -> Vec<&'a str> {
    let set = values.iter().flat_map(|value| ["--set", *value]);
    args.iter().copied().chain(set).collect()
}

/// All that the release `release` of the namespace `seal` is made of.
fn rendered(release: &str, values: &[&str]) -> Vec<Value> {
    let args = ["template", release, CHART, "--namespace", "seal"];
    let yaml = printed(&with_values(&args, values));
    let all: Vec<Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
    all.into_iter().filter(|object| !object.is_null()).collect()
}

fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"] == "test"
}

fn only(objects: &[Value], which: impl Fn(&Value) -> bool) -> Value {
    let found: Vec<_> = objects.iter().filter(|object| which(object)).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

fn hook_pod(objects: &[Value]) -> Value {
    only(objects, |object| is_hook(object) && object["kind"] == "Pod")
}

/// The ways to a certificate, and what holds the authority then.
const MODES: &[(&[&str], &str, &str)] = &[
    (&[], "secret", "podseal-tls"),
    (&["certificates.mode=cert-manager"], "secret", ""),
    (
        &[
            "certificates.mode=existing-secret",
            "certificates.existingSecret.name=mine",
        ],
        "secret",
        "mine",
    ),
    (
        &[
            "certificates.mode=existing-secret",
            "certificates.existingSecret.name=mine",
            "certificates.existingSecret.caBundle=-----BEGIN CERTIFICATE-----MAA=-----END CERTIFICATE-----",
        ],
        "configMap",
        "podseal-probe",
    ),
];
