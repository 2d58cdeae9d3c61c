//! A bar for each hour, day, month or year.

use std::fmt::Write;

use super::layout::{PIPE, Width};
use crate::cli::audit::filter::Filter;
use crate::cli::audit::record::Outcome;
use crate::cli::audit::summary::Summary;
use crate::cli::audit::timeline::{Bar, Bars, Unit};
use crate::cli::output::{HEADING, QUIET};

/// How many bars are shown, the last ones.
const BARS: usize = 75;

/// What is listed, in a heading.
fn listed(filter: &Filter) -> String {
    let listed = [
        (Outcome::Rejected, "denied"),
        (Outcome::Corrected, "corrected"),
        (Outcome::Allowed, "allowed"),
    ];
    let listed = listed
        .into_iter()
        .filter(|(outcome, _)| filter.lists(*outcome));
    let listed: Vec<_> = listed.map(|(_, name)| name).collect();
    listed.join(" or ")
}

pub(super) fn bars(text: &mut String, summary: &Summary, filter: &Filter, width: Width) {
    let Some(Bars { unit, bars, others }) = summary.timeline.bars() else {
        return;
    };
    let most = bars
        .iter()
        .map(|bar| bar.requests)
        .max()
        .unwrap_or_default();
    if most == 0 {
        return;
    }
    let (name, listed) = (unit.name(), listed(filter));
    let _ = writeln!(
        text,
        "\n{HEADING}Requests {listed}, by {name} (UTC){HEADING:#}"
    );
    if bars.len() > BARS {
        let _ = writeln!(text, "  {QUIET}… earlier ones are left out{QUIET:#}");
    }
    let shown = &bars[bars.len().saturating_sub(BARS)..];
    let room = width.columns.min(PIPE) - 2 - 16 - 2 - 2 - most.to_string().len();
    // Several without a request in a row are one line.
    for run in shown.chunk_by(|one, next| one.requests == 0 && next.requests == 0) {
        match run {
            [_, _, .., _] => {
                let _ = writeln!(text, "  {QUIET}…{QUIET:#}");
            }
            _ => run.iter().for_each(|one| bar(text, unit, one, most, room)),
        }
    }
    if others > 0 {
        let _ = writeln!(
            text,
            "  {QUIET}left out: {others}, whose times are far from the others', as of a wrong clock{QUIET:#}"
        );
    }
}

fn bar(text: &mut String, unit: Unit, Bar { start, requests }: &Bar, most: u64, room: usize) {
    let start = start.strftime(match unit {
        Unit::Hour => "%Y-%m-%d %H:%M",
        Unit::Day => "%Y-%m-%d",
        Unit::Month => "%Y-%m",
        Unit::Year => "%Y",
    });
    let length = (*requests as f64 / most as f64 * room as f64).round() as usize;
    let length = length.max(usize::from(*requests > 0));
    let bar = "█".repeat(length);
    let gap = if length > 0 { " " } else { "" };
    let _ = writeln!(text, "  {start}  {bar}{gap}{requests}");
}
