//! `-o json`: the summary as one object. Its names are an interface, described in
//! `docs/audit.md`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::groups::Group;
use super::record::Outcome;
use super::summary::{Control, Summary, Uncounted, Who};

/// How many groups of each kind are printed.
const MOST: usize = 1000;

#[derive(Serialize)]
struct Json<'s> {
    records: u64,
    requests: u64,
    outcomes: BTreeMap<&'static str, u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    unit: Option<&'static str>,
    bars: Vec<BarJson>,
    other_bars: u64,
    controls: Vec<ControlJson<'s>>,
    groups: Vec<GroupJson<'s>>,
    other_groups: u64,
    complete: bool,
    cautions: Vec<CautionJson<'s>>,
    other_cautions: u64,
    warnings: Vec<WarningJson<'s>>,
    other_warnings: u64,
    not_counted: Uncounted,
}

#[derive(Serialize)]
struct BarJson {
    start: String,
    requests: u64,
}

/// How many requests a group has, and when.
#[derive(Serialize)]
struct TimesJson {
    requests: u64,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Serialize)]
struct ControlJson<'s> {
    control: &'s str,
    #[serde(flatten)]
    times: TimesJson,
    not_enforced: u64,
}

#[derive(Serialize)]
struct GroupJson<'s> {
    outcome: &'static str,
    namespace: &'s str,
    #[serde(flatten)]
    who: WhoJson<'s>,
    #[serde(flatten)]
    times: TimesJson,
    controls: &'s BTreeMap<Control, u64>,
    latest: LatestJson<'s>,
}

#[derive(Serialize)]
struct LatestJson<'s> {
    user: &'s str,
    project_id: Option<&'s str>,
    job_id: Option<&'s str>,
    pod: &'s str,
    message: &'s str,
}

#[derive(Serialize)]
struct WhoJson<'s> {
    project: Option<&'s str>,
    owner: Option<&'s str>,
    user: Option<&'s str>,
}

#[derive(Serialize)]
struct CautionJson<'s> {
    id: &'s str,
    namespace: &'s str,
    #[serde(flatten)]
    who: WhoJson<'s>,
    #[serde(flatten)]
    times: TimesJson,
    text: &'s str,
}

#[derive(Serialize)]
struct WarningJson<'s> {
    namespace: &'s str,
    text: &'s str,
    #[serde(flatten)]
    times: TimesJson,
}

impl<D> From<&Group<D>> for TimesJson {
    fn from(group: &Group<D>) -> Self {
        TimesJson {
            requests: group.requests,
            first: group.first,
            last: group.last,
        }
    }
}

impl<'s> From<&'s Who> for WhoJson<'s> {
    fn from(who: &'s Who) -> Self {
        let name = Some(who.name());
        WhoJson {
            project: name.filter(|_| matches!(who, Who::Project(_))),
            owner: name.filter(|_| matches!(who, Who::Owner(_))),
            user: name.filter(|_| matches!(who, Who::User(_))),
        }
    }
}

/// Writes the summary as JSON. All of it would be many megabytes.
pub(super) fn write_json(summary: &Summary, mut out: &mut dyn Write) -> io::Result<()> {
    let timeline = summary.timeline.bars();
    let bars = timeline.iter().flat_map(|timeline| &timeline.bars);
    let bars = bars.map(|bar| BarJson {
        start: format!("{}Z", bar.start),
        requests: bar.requests,
    });
    let some = |text: &&str| !text.is_empty();
    let (controls, _) = summary.controls.largest(MOST);
    let controls = controls.into_iter().map(|(control, group)| ControlJson {
        control,
        times: group.into(),
        not_enforced: group.detail,
    });
    let (groups, other_groups) = summary.groups.largest(MOST);
    let groups = groups
        .into_iter()
        .map(|((outcome, namespace, who), group)| GroupJson {
            outcome: outcome.name(),
            namespace,
            who: who.into(),
            times: group.into(),
            controls: &group.detail.controls,
            latest: LatestJson {
                user: &group.detail.user,
                project_id: Some(&*group.detail.project_id).filter(some),
                job_id: Some(&*group.detail.job_id).filter(some),
                pod: &group.detail.pod,
                message: &group.detail.message,
            },
        });
    let (cautions, other_cautions) = summary.cautions.largest(MOST);
    let cautions = cautions
        .into_iter()
        .map(|((id, namespace, who), group)| CautionJson {
            id,
            namespace,
            who: who.into(),
            times: group.into(),
            text: &group.detail,
        });
    let (warnings, other_warnings) = summary.warnings.largest(MOST);
    let warnings = warnings
        .into_iter()
        .map(|((namespace, text), group)| WarningJson {
            namespace,
            text,
            times: group.into(),
        });
    let json = Json {
        records: summary.records,
        requests: summary.requests(),
        outcomes: Outcome::ALL
            .map(|outcome| (outcome.name(), summary.with(outcome)))
            .into(),
        first: summary.first,
        last: summary.last,
        unit: timeline.as_ref().map(|timeline| timeline.unit.name()),
        bars: bars.collect(),
        other_bars: timeline.as_ref().map_or(0, |timeline| timeline.others),
        controls: controls.collect(),
        groups: groups.collect(),
        other_groups,
        complete: !summary.groups.is_incomplete(),
        cautions: cautions.collect(),
        other_cautions,
        warnings: warnings.collect(),
        other_warnings,
        not_counted: summary.uncounted,
    };
    serde_json::to_writer_pretty(&mut out, &json)?;
    out.write_all(b"\n")
}
