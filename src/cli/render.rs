//! What a person reads: a pod's fate in words, and a diff of its YAML.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// Something that was allowed without a change.
pub const QUIET: Style = Style::new().dimmed();
/// Something that was changed.
pub const CHANGED: Style = AnsiColor::Green.on_default().bold();
/// Something that was denied.
pub const DENIED: Style = AnsiColor::Red.on_default().bold();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const HUNK: Style = AnsiColor::Cyan.on_default();

/// Prints to standard output, with colours only where somebody sees them:
/// never in a pipe, and never where `NO_COLOR` is set.
pub fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// `value` as `kubectl get -o yaml` would show it.
pub fn yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: true,
        prefer_block_scalars: false,
    };
    // Nothing in JSON is beyond YAML, which contains it.
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value:#}\n"))
}

/// The lines in which `after` differs from `before`, with some around them.
pub fn diff(before: &Value, after: &Value, indent: &str) -> String {
    let (before, after) = (yaml(before), yaml(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let _ = writeln!(text, "{indent}{HUNK}{}{HUNK:#}", hunk.header());
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', REMOVED),
                ChangeTag::Insert => ('+', ADDED),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let line = change.value().trim_end_matches('\n');
            let _ = writeln!(text, "{indent}{style}{sign}{line}{style:#}");
        }
    }
    text
}
