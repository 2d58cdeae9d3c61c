//! The output of commands: colours, YAML, diffs, and exit codes.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use serde_json::Value;
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::{ChangeTag, DiffOp, group_diff_ops};

/// The exit code for an input or an argument that cannot be used.
pub const UNUSABLE: u8 = 2;

/// The word `error:`.
pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something that was allowed without a change.
pub const QUIET: Style = Style::new().dimmed();
/// A heading in a table.
pub const HEADING: Style = Style::new().bold();
/// Something that was changed.
pub const CHANGED: Style = AnsiColor::Green.on_default().bold();
/// Something that is allowed, but would be denied in another mode.
pub const WARNED: Style = AnsiColor::Yellow.on_default().bold();
/// Something that was denied.
pub const DENIED: Style = AnsiColor::Red.on_default().bold();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const HUNK: Style = AnsiColor::Cyan.on_default();

/// Writes to standard output without changes.
pub(super) fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Prints to standard output, with colours only on a terminal without `NO_COLOR`.
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
    // YAML contains JSON, so this cannot fail.
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value:#}\n"))
}

/// The lines in which `after` differs from `before`, with context. The heading of
/// each hunk is its container, which is more useful than a line number.
pub fn diff(before: &Value, after: &Value, indent: &str) -> String {
    let (before, after) = (yaml(before), yaml(after));
    let before: Vec<_> = before.lines().collect();
    let after: Vec<_> = after.lines().collect();
    let mut text = String::new();
    for hunk in group_diff_ops(edits(&before, &after), 3) {
        let changes = || hunk.iter().flat_map(|op| op.iter_changes(&before, &after));
        let first = changes().find(|change| change.tag() != ChangeTag::Equal);
        let at = first.and_then(|change| change.new_index().or(change.old_index()));
        let place = at.map(|at| place(&after, at)).unwrap_or_default();
        let _ = writeln!(text, "{indent}{HUNK}@@ {place}{HUNK:#}");
        for change in changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', REMOVED),
                ChangeTag::Insert => ('+', ADDED),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let line = visible(change.value());
            let _ = writeln!(text, "{indent}{style}{sign}{line}{style:#}");
        }
    }
    text
}

/// The edits from `before` to `after`.
///
/// Calls one algorithm directly: `TextDiff`, which selects one of five at run time,
/// makes the program half a megabyte larger.
fn edits(before: &[&str], after: &[&str]) -> Vec<DiffOp> {
    let mut edits = Compact::new(Replace::new(Capture::new()), before, after);
    let (all_before, all_after) = (0..before.len(), 0..after.len());
    match myers::diff(&mut edits, before, all_before, after, all_after) {
        Ok(()) => edits.into_inner().into_inner().into_ops(),
    }
}

/// The part of the pod that contains line `at` of its YAML: `metadata`, `spec`, or
/// a container by name. Relies on the layout of [`yaml`]: two spaces per level, and
/// list dashes at the level of their key.
fn place(lines: &[&str], at: usize) -> String {
    let before = &lines[..=at.min(lines.len().saturating_sub(1))];
    let list = before
        .iter()
        .rposition(|line| line.starts_with("  ") && !line[2..].starts_with([' ', '-']));
    let top = before
        .iter()
        .rev()
        .find(|line| !line.starts_with([' ', '-']));
    let top = top
        .map(|line| line.trim_end_matches(':'))
        .unwrap_or_default();
    let Some(list) = list else {
        return top.to_owned();
    };
    let key = lines[list].trim().trim_end_matches(':');
    if !matches!(key, "containers" | "initContainers") {
        return top.to_owned();
    }
    let item = before
        .iter()
        .rposition(|line| line.starts_with("  - "))
        .unwrap_or(at);
    let end = |line: &&str| !line.starts_with("    ");
    let length = lines[item + 1..]
        .iter()
        .position(end)
        .unwrap_or(lines.len() - item - 1);
    let of_item = &lines[item..=item + length.min(lines.len() - item - 1)];
    let name = of_item
        .iter()
        .find_map(|line| line.get(4..)?.strip_prefix("name: "));
    let kind = if key == "containers" {
        "container"
    } else {
        "init container"
    };
    format!("{kind} {}", visible(name.unwrap_or_default()))
}

/// `line` with control characters escaped, and those that change the direction of
/// text, which YAML does not escape.
pub fn visible(line: &str) -> Cow<'_, str> {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    if !line.contains(is_control) {
        return Cow::Borrowed(line);
    }
    let escape = |c: char| {
        if is_control(c) {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    };
    Cow::Owned(line.chars().map(escape).collect())
}
