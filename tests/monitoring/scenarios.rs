//! Something that happens to a podseal that was well, and the series then.

use std::collections::BTreeMap;

use crate::scrape::series_parts;
use crate::site::SITE;
use crate::timeline::{PLUGINS, PODS, Series, plugin_target, plugins, still, target, unmoved};
use Change::{Gone, In, Rise, Set};
use Who::{Plugin, Pod, Release};

pub(crate) use self::table::SCENARIOS;

mod table;

/// What happens to a series' values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// It has this value.
    Set(f64),
    /// It grows by so much each minute.
    Rise(f64),
    /// It is a time, so many days after the alert is looked for.
    In(f64),
    /// It is not there.
    Gone,
}

/// Whom an alert is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// All replicas together.
    Release,
    /// The pod of `PODS`.
    Pod(usize),
    /// The device plugin of `PLUGINS`.
    Plugin(usize),
}

/// Something that happens, and the alerts that it sets off.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) alert: &'static str,
    /// After how many minutes it fires.
    pub(crate) after: u32,
    /// Series, of all pods or of one, and what happens to them.
    pub(crate) changes: &'static [(&'static str, Who, Change)],
    pub(crate) fires: &'static [Fired],
}

/// Whom an alert is for, what labels it has besides, and what it says.
pub(crate) type Fired = (Who, &'static [(&'static str, &'static str)], &'static str);

impl Scenario {
    /// The series of two busy replicas and two device plugins to which it happens.
    pub(crate) fn series(&self) -> Vec<Series> {
        let mut all = unmoved(|index| &SITE.replicas[index].busy, self.after);
        all.extend(plugins(self.after));
        self.changes
            .iter()
            .fold(all, |series, (selector, who, change)| {
                let (name, labels) = series_parts(selector);
                let is_meant = |series: &Series| {
                    let has = |(label, value): (_, _)| series.labels.get(label) == Some(value);
                    series.name == name && labels.iter().all(has) && who.includes(&series.labels)
                };
                assert!(series.iter().any(is_meant), "{selector} was not scraped");
                let change = |series: Series| match is_meant(&series) {
                    true => self.changed(series, *change),
                    false => Some(series),
                };
                series.into_iter().filter_map(change).collect()
            })
    }

    fn changed(&self, series: Series, change: Change) -> Option<Series> {
        let values = match change {
            Set(value) => still(value, self.after),
            Rise(step) => format!("{}+{step}x{}", series.value, self.after),
            In(days) => {
                let now = SITE.time + u64::from(self.after) * 60;
                still(now as f64 + days * 86_400.0, self.after)
            }
            Gone => return None,
        };
        Some(Series { values, ..series })
    }
}

impl Who {
    fn includes(self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Release => labels["job"] == "podseal",
            Pod(index) => labels["pod"] == PODS[index],
            Plugin(index) => labels["pod"] == PLUGINS[index].0,
        }
    }

    /// The labels of an alert about it.
    pub(crate) fn labels(self) -> BTreeMap<String, String> {
        match self {
            Release => {
                let labels = target(PODS[0]).into_iter();
                labels
                    .filter(|(label, _)| label == "namespace" || label == "job")
                    .collect()
            }
            Pod(index) => target(PODS[index]),
            Plugin(index) => plugin_target(PLUGINS[index]),
        }
    }
}
