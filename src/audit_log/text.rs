//! A record as a line of text, for a terminal.

use serde_json::Value;

/// The line for a record, without its end.
pub fn line(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let changes = record["changes"].as_array();
    let changes: Vec<_> = changes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // The message of a denial already contains the changes that matter.
    let told = match text("decision") == "deny" || changes.is_empty() {
        true => text("message").to_owned(),
        false => format!("{}: {}", text("message"), changes.join("; ")),
    };
    // Without a profile, level and mode have no effect.
    let policy = match text("profile") {
        "" => "no profile".to_owned(),
        profile => format!("{profile}, {}, {}", text("level"), text("mode")),
    };
    format!(
        "{} {} {} {}/{} [{policy}] {told}",
        text("time"),
        text("webhook"),
        text("decision"),
        text("namespace"),
        record["pod"]
            .as_str()
            .filter(|pod| !pod.is_empty())
            .unwrap_or(text("generate_name")),
    )
}
