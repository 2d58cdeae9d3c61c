//! Which records are read: `--namespace`, `--project`, `--control`, `--since`, `--decision`.

use std::convert::Infallible;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use super::record::{Outcome, Record};
use admission::decision::Verdict;
use admission::standards::Family;

/// The name of no control: a denial for another reason.
pub(super) const NO_CONTROL: &str = "none";

/// Which records are read.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Filters")]
#[group(skip)]
pub(super) struct Filter {
    /// Read only records of this namespace; can be repeated
    #[arg(short, long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    /// Read only records of this GitLab project, by group/name or number; can be repeated
    #[arg(long = "project", value_name = "PROJECT", value_parser = project)]
    projects: Vec<String>,
    /// Read only denials by this control; can be repeated
    #[arg(
        long = "control",
        value_name = "CONTROL",
        value_parser = PossibleValuesParser::new(controls())
    )]
    controls: Vec<String>,
    /// Read only records since then: a duration such as 24h or 7d, a date, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// List requests with this decision; can be repeated
    #[arg(
        long = "decision",
        value_name = "DECISION",
        default_value = "deny",
        value_parser = PossibleValuesParser::new(verdicts()).map(|name| verdict(&name))
    )]
    decisions: Vec<Verdict>,
}

fn controls() -> impl Iterator<Item = PossibleValue> {
    let names = Family::ALL.into_iter().map(Family::name);
    let names = names.map(PossibleValue::new);
    names.chain([PossibleValue::new(NO_CONTROL)])
}

fn verdicts() -> impl Iterator<Item = PossibleValue> {
    Verdict::ALL.into_iter().map(|verdict| {
        PossibleValue::new(verdict.name()).help(match verdict {
            Verdict::Allow => "The pod was allowed",
            Verdict::Mutate => "The pod was corrected, or would have been in mode audit",
            Verdict::Deny => "The pod was rejected, or would have been in mode enforce",
        })
    })
}

fn verdict(name: &str) -> Verdict {
    let found = Verdict::ALL.into_iter().find(|v| v.name() == name);
    found.expect("clap allows only these names")
}

/// Parses a duration before now, or a time.
fn since(text: &str) -> Result<Timestamp, String> {
    let duration = |span: Span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    let midnight = |date: Date| date.to_zoned(TimeZone::UTC).ok();
    let ago = text.parse().ok().and_then(duration);
    if let Some(ago) = ago.filter(|ago| *ago >= SignedDuration::ZERO) {
        return Ok(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN));
    }
    let time = text.parse::<Timestamp>().ok();
    let is_date = text.len() == "2026-11-30".len();
    let date = text.parse().ok().filter(|_| is_date).and_then(midnight);
    time.or(date.map(|date| date.timestamp())).ok_or_else(|| {
        "must be a duration such as 90m, 24h or 7d, a date such as 2026-11-30, or a time such as \
         2026-11-30T09:00:00Z"
            .to_owned()
    })
}

/// A project for comparison. Records have `_` for `/`, except for the last.
fn comparable(project: &str) -> String {
    project.replace('/', "_")
}

fn project(text: &str) -> Result<String, Infallible> {
    Ok(comparable(text))
}

impl Filter {
    /// Whether `record` is read.
    pub(super) fn reads(&self, record: &Record<'_>) -> bool {
        let among = |names: &[String], name: &str| names.iter().any(|wanted| wanted == name);
        if self.since.is_some_and(|since| record.time < since)
            || !self.namespaces.is_empty() && !among(&self.namespaces, &record.namespace)
        {
            return false;
        }
        let is_project = self.projects.is_empty()
            || among(&self.projects, &record.project_id)
            || !record.project.is_empty() && among(&self.projects, &comparable(&record.project));
        is_project && (self.controls.is_empty() || self.names_a_control_of(record))
    }

    fn names_a_control_of(&self, record: &Record<'_>) -> bool {
        if record.decision != Verdict::Deny {
            return false;
        }
        let controls = record.controls();
        let wanted = |control: &&str| self.controls.iter().any(|wanted| wanted == control);
        match controls.is_empty() {
            true => wanted(&NO_CONTROL),
            false => controls.iter().any(wanted),
        }
    }

    /// Whether requests with `outcome` are listed.
    pub(super) fn lists(&self, outcome: Outcome) -> bool {
        self.decisions.contains(&outcome.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_a_date_or_a_time() {
        let day = since("24h").expect("a duration");
        let ago = Timestamp::now().duration_since(day);
        assert!((86_400..86_410).contains(&ago.as_secs()), "{ago}");
        assert!(since("7d").expect("days") < day);
        assert!(since("1w 2d").expect("weeks") < day);
        let midnight = since("2026-11-30").expect("a date");
        assert_eq!(midnight.to_string(), "2026-11-30T00:00:00Z");
        let time = since("2026-11-30T02:00:00+01:00").expect("a time");
        assert_eq!(time.to_string(), "2026-11-30T01:00:00Z");
        for wrong in ["", "yesterday", "7", "-1h", "2026-11", "1mo"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
