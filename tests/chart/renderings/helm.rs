//! The real `helm`, which renders the chart without a cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// The chart's folder.
pub(crate) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podseal");

/// The folder that has `helm` beside the control plane's binaries.
static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
    let mut command = Command::new(script);
    command.stderr(std::process::Stdio::inherit());
    let output = command.output().expect("bash can be started");
    assert!(output.status.success(), "helm could not be built");
    PathBuf::from(support::text(&output.stdout).trim())
});

/// Runs helm with `values` on its standard input.
pub(crate) fn helm(args: &[&str], values: &Value) -> Output {
    let mut command = Command::new(BINARIES.join("helm"));
    // Nothing of the machine's user: no plugins, no repositories, no cluster.
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    command.env_clear().env("HOME", home).args(args);
    support::run(command, &values.to_string())
}

/// A release to render.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release<'r> {
    pub(crate) name: &'r str,
    pub(crate) namespace: &'r str,
}

/// The one that the documentation installs.
pub(crate) const PODSEAL: Release = Release {
    name: "podseal",
    namespace: "podseal",
};

impl Release<'_> {
    /// What helm renders with these values, or what it says of them.
    pub(crate) fn try_render(&self, values: &Value) -> Result<String, String> {
        self.try_render_with(&[], values)
    }

    /// The same with these arguments.
    pub(crate) fn try_render_with(&self, more: &[&str], values: &Value) -> Result<String, String> {
        let args = [
            "template",
            self.name,
            CHART,
            "-n",
            self.namespace,
            "-f",
            "-",
        ];
        let output = helm(&[&args, more].concat(), values);
        match output.status.success() {
            true => Ok(support::text(&output.stdout)),
            false => Err(support::text(&output.stderr)),
        }
    }

    /// What helm renders with these values, which are right.
    pub(crate) fn render(&self, values: &Value) -> String {
        let rendered = self.try_render(values);
        rendered.unwrap_or_else(|error| panic!("{self:?}, {values:#}: {error}"))
    }

    /// The same, as objects.
    pub(crate) fn objects(&self, values: &Value) -> Vec<Value> {
        objects(&self.render(values))
    }
}

/// The objects of a rendering. A key given twice is an error.
pub(crate) fn objects(rendering: &str) -> Vec<Value> {
    let parsed: Result<Vec<Value>, _> = serde_saphyr::from_multiple(rendering);
    parsed.unwrap_or_else(|error| panic!("{error}\n{rendering}"))
}

/// The only object of this kind.
pub(crate) fn object<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several of {kind}");
    first
}

/// `base` with `patch` merged into it, as helm does with values.
pub(crate) fn merged(base: &Value, patch: &Value) -> Value {
    let mut merged = base.clone();
    json_patch::merge(&mut merged, patch);
    merged
}
