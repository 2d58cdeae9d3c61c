//! The chart, rendered by the real helm.

use std::process::Command;

use serde_json::Value;

use crate::controlplane::binaries;
use crate::text;

/// The objects that a template of the chart renders, or helm's error.
pub fn rendered(template: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = Command::new(binaries().join("helm"));
    command
        .args(["template", "podseal", "--namespace", "podseal"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/podseal"))
        .args(["--show-only", &format!("templates/{template}.yaml")]);
    for value in values {
        command.args(["--set-json", value]);
    }
    let output = crate::run(command, "");
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    let objects = serde_saphyr::from_multiple(&text(&output.stdout));
    Ok(objects.expect("helm renders YAML"))
}

/// The file of namespace rules that the chart renders from these values.
pub fn rules_file(values: &[&str]) -> String {
    let objects = rendered("rules", values).expect("the chart renders its rules");
    let mut files = objects.iter().map(|map| &map["data"]["defaults.yaml"]);
    let file = files.find_map(Value::as_str);
    file.expect("the ConfigMap has the rules").to_owned()
}

/// The one object of this kind.
pub fn the<'a>(kind: &str, objects: &'a [Value]) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    object
}

/// The objects as kubectl reads them.
pub fn manifests(objects: &[Value]) -> String {
    let documents = objects.iter().map(|object| format!("---\n{object}\n"));
    documents.collect()
}
