//! Nodes × profiles as text, the trials, and the best profile.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::table::{COLUMNS, wrapped};
use crate::cli::output::{CHANGED, DENIED, HEADING, QUIET, visible};
use crate::doctor::fitness::Fitness;
use crate::doctor::nodes::{Best, NodeTable, Row};
use crate::doctor::trial::{Outcome, Trial};

/// How many names of nodes a kind lists.
const LISTED: usize = 3;

/// Nodes × profiles: a row a profile, a column a kind, and the reasons below.
pub(super) fn show(text: &mut String, table: &NodeTable, trials: &[Trial]) {
    if table.kinds.is_empty() {
        return;
    }
    for (number, row) in table.kinds.iter().enumerate() {
        let kind = format!("{}  {} ({})", number + 1, row.kind, names(row));
        for (line_number, line) in wrapped(&kind, COLUMNS - 5).iter().enumerate() {
            let indent = if line_number == 0 { "  " } else { "     " };
            let _ = writeln!(text, "{indent}{line}");
        }
    }
    marks(text, table);
    text.push('\n');
    for (number, row) in table.kinds.iter().enumerate() {
        let mut reasons: BTreeMap<(&str, &String), Vec<&str>> = BTreeMap::new();
        for (profile, fitness) in table.profiles.iter().zip(&row.profiles) {
            if let Fitness::No { reason, .. } | Fitness::Unknown { reason } = fitness {
                reasons
                    .entry((fitness.mark(), reason))
                    .or_default()
                    .push(profile);
            }
        }
        for ((mark, reason), profiles) in reasons {
            let line = format!("{mark} {}: {reason}", profiles.join(", "));
            for (line_number, line) in wrapped(&line, COLUMNS - 7).iter().enumerate() {
                let _ = match line_number {
                    0 => writeln!(text, "  {}  {line}", number + 1),
                    _ => writeln!(text, "       {line}"),
                };
            }
        }
    }
    for trial in trials {
        tried(text, trial);
    }
    best(text, table);
    text.push('\n');
}

/// A row a profile, a column a kind, in as many blocks as the terminal's width takes.
fn marks(text: &mut String, table: &NodeTable) {
    let widest = table.profiles.iter().map(|name| name.chars().count()).max();
    let width = widest.unwrap_or_default().max("profile".len());
    let digits = table.kinds.len().to_string().len();
    let columns = (COLUMNS.saturating_sub(2 + width) / (2 + digits)).max(1);
    for first in (0..table.kinds.len()).step_by(columns) {
        let _ = write!(text, "\n  {QUIET}{:<width$}{QUIET:#}", "profile");
        let rows = table.kinds.iter().enumerate().skip(first).take(columns);
        for (at, _) in rows.clone() {
            let _ = write!(text, "  {QUIET}{:>digits$}{QUIET:#}", at + 1);
        }
        text.push('\n');
        for (at, profile) in table.profiles.iter().enumerate() {
            let _ = write!(text, "  {:<width$}", visible(profile));
            for (_, row) in rows.clone() {
                let fitness = &row.profiles[at];
                let style = match fitness {
                    Fitness::Yes => CHANGED,
                    Fitness::No { .. } => DENIED,
                    Fitness::Unknown { .. } => QUIET,
                };
                let _ = write!(text, "  {style}{:>digits$}{style:#}", fitness.mark());
            }
            text.push('\n');
        }
    }
}

/// A trial, and how it ended.
fn tried(text: &mut String, trial: &Trial) {
    let (mark, style, what) = match &trial.outcome {
        Outcome::Built => ("✓", CHANGED, "an image was built".to_owned()),
        Outcome::Failed { message, .. } => ("✗", DENIED, format!("no image was built: {message}")),
        Outcome::NotTried { message, .. } => ("?", QUIET, format!("not tried: {message}")),
    };
    let what = format!("{} with {}: {what}", trial.node, trial.profile);
    for (number, line) in wrapped(&what, COLUMNS - 4).iter().enumerate() {
        let _ = match number {
            0 => writeln!(text, "  {style}{mark}{style:#} {line}"),
            _ => writeln!(text, "    {line}"),
        };
    }
}

/// The best profile, and the command for it.
fn best(text: &mut String, table: &NodeTable) {
    let Some(best) = &table.best else {
        let _ = writeln!(text, "\n  best: {HEADING}none{HEADING:#}");
        return;
    };
    let Best {
        profile,
        nodes,
        works,
        unknown,
        command,
    } = best;
    let _ = writeln!(
        text,
        "\n  best: {HEADING}{profile}{HEADING:#}{}",
        condition(profile)
    );
    let excluded = match nodes - works - unknown {
        0 => String::new(),
        excluded => format!("excluded on {excluded} of {nodes} nodes; "),
    };
    let proof = match works {
        0 => "nothing is proven: podseal doctor --try IMAGE".to_owned(),
        works => format!("proven on {works} of {nodes} nodes"),
    };
    let _ = writeln!(text, "        {excluded}{proof}");
    let _ = writeln!(text, "        {}", command.as_str());
}

/// What the best profile takes, and which one to use otherwise.
fn condition(profile: &str) -> &'static str {
    match profile {
        "userns" | "rootless" => ", for an image laid out as Podman's own; root for any other",
        _ => "",
    }
}

fn names(row: &Row) -> String {
    let names: Vec<_> = row
        .nodes
        .iter()
        .take(LISTED)
        .map(|name| visible(name))
        .collect();
    let names = names.join(", ");
    match row.nodes.len() {
        1 => format!("1 node: {names}"),
        count if count > LISTED => format!("{count} nodes: {names} and {} more", count - LISTED),
        count => format!("{count} nodes: {names}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_kinds_are_columns_in_line_and_within_the_terminal() {
        let row = Row {
            kind: "a kind".to_owned(),
            nodes: vec!["a".to_owned()],
            untolerated: None,
            resources: BTreeMap::new(),
            profiles: vec![Fitness::Yes],
        };
        let table = NodeTable {
            profiles: vec!["root".to_owned()],
            kinds: vec![row; 40],
            is_tried: false,
            best: None,
        };
        let mut text = String::new();
        marks(&mut text, &table);
        let text = anstream::adapter::strip_str(&text).to_string();
        let mut numbers = 0;
        for block in text.trim_start_matches('\n').split("\n\n") {
            let lines: Vec<_> = block.lines().collect();
            let [heading, marks] = lines.as_slice() else {
                panic!("{block}");
            };
            assert!(heading.chars().count() <= COLUMNS, "{text}");
            assert_eq!(heading.chars().count(), marks.chars().count(), "{text}");
            numbers += marks.matches('✓').count();
        }
        assert_eq!(numbers, 40, "{text}");
    }
}
