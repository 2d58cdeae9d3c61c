//! The tables: by control, by whose the requests are, cautions and warnings.

use std::fmt::Write;

use super::layout::{Columns, Times, Width, wrapped};
use crate::cli::audit::filter::NO_CONTROL;
use crate::cli::audit::record::Outcome;
use crate::cli::audit::summary::{Latest, Summary, Who};
use crate::cli::output::{HEADING, QUIET};
use admission::decision::Verdict;

/// How many rows a table has.
const ROWS: usize = 15;
/// How many lines the latest message of a group takes at most.
const LINES: usize = 2;

pub(super) fn controls(text: &mut String, summary: &Summary, times: Times) {
    let (controls, others) = summary.controls.largest(ROWS + 1);
    if controls.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{HEADING}Denied, by control{HEADING:#}");
    let _ = writeln!(
        text,
        "  {QUIET}REQUESTS  FIRST         LAST          CONTROL{QUIET:#}"
    );
    for (control, group) in controls {
        let _ = write!(
            text,
            "  {:>8}  {}  {control}",
            group.requests,
            times.of(group)
        );
        if control == NO_CONTROL {
            text.push_str(": another reason");
        }
        let _ = match group.detail {
            0 => writeln!(text),
            count => writeln!(text, "  {QUIET}({count} not enforced){QUIET:#}"),
        };
    }
    remaining(text, others, false);
}

/// The line for requests that no row shows.
fn remaining(text: &mut String, others: u64, is_incomplete: bool) {
    if others > 0 {
        let _ = writeln!(
            text,
            "  {others:>8}  {QUIET}in other groups; choose fewer by --namespace or --project{QUIET:#}"
        );
    }
    if is_incomplete {
        let _ = writeln!(
            text,
            "            {QUIET}too many groups to count each exactly: their numbers are minimums{QUIET:#}"
        );
    }
}

pub(super) fn whose(
    text: &mut String,
    summary: &Summary,
    outcome: Outcome,
    times: Times,
    width: Width,
) {
    let (all, _) = summary.groups.largest(usize::MAX);
    let groups: Vec<_> = all.iter().filter(|((of, ..), _)| *of == outcome).collect();
    if groups.is_empty() {
        return;
    }
    let title = match outcome {
        Outcome::Rejected => "Rejected",
        Outcome::NotEnforced => "Denied, but not enforced",
        Outcome::Corrected => "Corrected",
        Outcome::NotCorrected => "Not corrected, in mode audit",
        Outcome::Allowed => "Allowed",
    };
    let _ = writeln!(
        text,
        "\n{HEADING}{title}, by project, owner or user{HEADING:#}"
    );
    let rows = &groups[..groups.len().min(ROWS)];
    let namespaces = rows.iter().map(|((_, namespace, _), _)| namespace.as_str());
    let columns = Columns::new(namespaces, "NAMESPACE", width);
    columns.heading(text, "WHOSE");
    for ((_, namespace, who), group) in rows {
        columns.row(text, group, times, namespace, who.name());
        for line in details(&group.detail, (outcome, who), width) {
            let _ = writeln!(text, "            {QUIET}{line}{QUIET:#}");
        }
    }
    let shown: u64 = rows.iter().map(|(_, group)| group.requests).sum();
    let others = summary.with(outcome).saturating_sub(shown);
    remaining(text, others, summary.groups.is_incomplete());
}

/// The controls of a group, and its latest request.
fn details(latest: &Latest, (outcome, who): (Outcome, &Who), width: Width) -> Vec<String> {
    let room = width.columns - 12;
    let controls = latest.controls.iter();
    let mut controls: Vec<_> = controls.filter(|(name, _)| **name != NO_CONTROL).collect();
    controls.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let controls: Vec<_> = controls
        .into_iter()
        .map(|(control, count)| format!("{control} {count}"))
        .collect();
    let mut lines = match controls.is_empty() {
        true => Vec::new(),
        false => wrapped(&format!("by {}", controls.join(", ")), room, 2),
    };
    if outcome.verdict() == Verdict::Deny {
        let job = match &*latest.job_id {
            "" => String::new(),
            id => format!(", job {id}"),
        };
        let Latest {
            pod, user, message, ..
        } = latest;
        let by = match who {
            Who::User(_) => String::new(),
            Who::Project(_) | Who::Owner(_) => format!(", by {user}"),
        };
        lines.extend(wrapped(&format!("last: pod {pod}{job}{by}"), room, 2));
        lines.extend(wrapped(message, room, LINES));
    }
    lines
}

pub(super) fn cautions(text: &mut String, summary: &Summary, times: Times, width: Width) {
    let (rows, others) = summary.cautions.largest(ROWS);
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{HEADING}Cautions{HEADING:#}: what may keep jobs from running"
    );
    let ids = rows.iter().map(|((id, ..), _)| id.as_str());
    let columns = Columns::new(ids, "CAUTION", width);
    columns.heading(text, "WHOSE");
    for ((id, namespace, who), group) in rows {
        let whose = format!("{namespace}  {}", who.name());
        columns.row(text, group, times, id, &whose);
    }
    remaining(text, others, summary.cautions.is_incomplete());
}

pub(super) fn warnings(text: &mut String, summary: &Summary, width: Width) {
    let (rows, others) = summary.warnings.largest(ROWS);
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{HEADING}Warnings about namespaces{HEADING:#}");
    for ((namespace, warning), group) in rows {
        let lines = wrapped(
            &format!("{namespace}: {warning}"),
            width.columns - 12,
            LINES,
        );
        for (n, line) in lines.iter().enumerate() {
            let _ = match n {
                0 => writeln!(text, "  {:>8}  {line}", group.requests),
                _ => writeln!(text, "            {line}"),
            };
        }
    }
    remaining(text, others, summary.warnings.is_incomplete());
}
