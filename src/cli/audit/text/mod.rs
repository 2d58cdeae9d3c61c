//! The summary as text, for a terminal of any width and for a pipe.
//!
//! | file | what it does |
//! |---|---|
//! | `bars` | a bar for each hour or day |
//! | `tables` | by control, by whose the requests are, cautions and warnings |
//! | `layout` | lines, columns and times |

mod bars;
mod layout;
mod tables;

use std::fmt::Write;

use jiff::Timestamp;

use self::bars::bars;
use self::layout::{Times, Width, format};
use self::tables::{cautions, controls, warnings, whose};
use super::filter::Filter;
use super::record::Outcome;
use super::summary::Summary;
use crate::cli::output::{CHANGED, DENIED, HEADING, QUIET, WARNED};

pub(super) use self::layout::width;

/// The summary as text.
pub(super) fn text(summary: &Summary, filter: &Filter, width: Width) -> String {
    let mut text = String::new();
    let Some((first, last)) = summary.first.zip(summary.last) else {
        let records = counted(summary.records, "record");
        let _ = writeln!(text, "No request matches; {records} read");
        return with_notes(text, summary);
    };
    heading(&mut text, summary, (first, last));
    bars(&mut text, summary, filter, width);
    let times = Times::new(first, last);
    controls(&mut text, summary, times);
    for outcome in Outcome::ALL {
        whose(&mut text, summary, outcome, times, width);
    }
    cautions(&mut text, summary, times, width);
    warnings(&mut text, summary, width);
    with_notes(text, summary)
}

fn heading(text: &mut String, summary: &Summary, (first, last): (Timestamp, Timestamp)) {
    let minute = |time: Timestamp| format(time, "%Y-%m-%d %H:%M");
    let requests = counted(summary.requests(), "request");
    let (first, last) = (minute(first), minute(last));
    let _ = writeln!(
        text,
        "{HEADING}{requests}{HEADING:#} from {first} to {last} UTC"
    );
    for outcome in Outcome::ALL {
        let count = summary.with(outcome);
        let (style, name, remark) = match outcome {
            Outcome::Rejected if count == 0 => (QUIET, "rejected", ""),
            Outcome::Rejected => (DENIED, "rejected", ""),
            Outcome::NotEnforced => (
                WARNED,
                "not enforced",
                "  denied, and allowed by the mode warn or audit",
            ),
            Outcome::Corrected => (CHANGED, "corrected", ""),
            Outcome::NotCorrected => (
                WARNED,
                "not corrected",
                "  left unchanged by the mode audit",
            ),
            Outcome::Allowed => (QUIET, "allowed", ""),
        };
        if count > 0 || outcome == Outcome::Rejected {
            let _ = writeln!(
                text,
                "{count:>10}  {style}{name}{style:#}{QUIET}{remark}{QUIET:#}"
            );
        }
    }
}

fn with_notes(mut text: String, summary: &Summary) -> String {
    let notes = notes(summary);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "{QUIET}{note}{QUIET:#}");
    }
    text
}

/// What was not counted, and why there may be nothing.
pub(super) fn notes(summary: &Summary) -> Vec<String> {
    let uncounted = &summary.uncounted;
    if summary.records == 0 {
        return vec![match uncounted.other_lines + uncounted.unreadable {
            0 => "the input is empty".to_owned(),
            lines => format!(
                "no record in {}; podseal serve writes records as JSON, unless it has \
                 --log-format text or writes to a terminal",
                counted(lines, "line")
            ),
        }];
    }
    let counts = [
        (uncounted.dry_runs, "dry run"),
        (uncounted.repeated, "repeated record"),
        (uncounted.unreadable, "unreadable record"),
        (uncounted.other_lines, "other line"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| counted(count, what)).collect();
    let mut notes = Vec::new();
    if !counts.is_empty() {
        notes.push(format!("not counted: {}", counts.join(", ")));
    }
    if uncounted.unreadable > 0 {
        notes.push("unreadable records are incomplete, or of a newer podseal".to_owned());
    }
    notes
}

fn counted(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
