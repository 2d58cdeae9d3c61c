//! What counts and what is measured: cells that are added to without a lock.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::label::Labels;

/// A counter for each combination of labels. Clones count together.
#[derive(Debug)]
pub struct Counters<L>(Arc<[AtomicU64]>, PhantomData<fn(L)>);

impl<L> Clone for Counters<L> {
    fn clone(&self) -> Self {
        Counters(Arc::clone(&self.0), PhantomData)
    }
}

impl<L: Labels> Default for Counters<L> {
    fn default() -> Self {
        Counters(cells(L::all().len()), PhantomData)
    }
}

impl<L: Labels> Counters<L> {
    /// Counts one.
    pub fn count(&self, labels: L) {
        self.0[labels.index()].fetch_add(1, Relaxed);
    }

    /// How many were counted.
    pub fn get(&self, labels: L) -> u64 {
        self.0[labels.index()].load(Relaxed)
    }
}

impl<L: Labels + fmt::Debug> EncodeMetric for Counters<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, cell) in L::all().iter().zip(&*self.0) {
            encode_count(&mut encoder.encode_family(labels)?, cell.load(Relaxed))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// A name, and what was counted for it.
type NamedCounter = (String, Arc<AtomicU64>);

/// A counter for each name that is known, and one for every other.
#[derive(Debug, Clone)]
pub struct NamedCounters {
    label: &'static str,
    known: Arc<ArcSwap<Vec<NamedCounter>>>,
    other: Arc<AtomicU64>,
}

/// How many names are known at most: who gives new ones all day long makes a
/// Prometheus keep a series for each.
const NAMES: usize = 200;
/// What every other name is called.
const OTHER: &str = "other";

impl NamedCounters {
    /// Counters for `names`.
    pub fn new(label: &'static str, names: impl Iterator<Item = String>) -> NamedCounters {
        let named = NamedCounters {
            label,
            known: Arc::default(),
            other: Arc::default(),
        };
        named.know(names);
        named
    }

    /// Counts for `names` from now on, too. What is known stays: a counter that
    /// goes away looks like one that was reset.
    pub fn know(&self, names: impl Iterator<Item = String>) {
        let mut known = Vec::clone(&self.known.load());
        for name in names {
            let is_new = name != OTHER && known.iter().all(|(known, _)| *known != name);
            if is_new && known.len() < NAMES {
                known.push((name, Arc::default()));
            }
        }
        self.known.store(Arc::new(known));
    }

    /// Counts `many` for `name`.
    pub fn add(&self, name: &str, many: u64) {
        let known = self.known.load();
        let cell = known.iter().find(|(known, _)| known == name);
        let cell = cell.map_or(&self.other, |(_, cell)| cell);
        cell.fetch_add(many, Relaxed);
    }
}

impl EncodeMetric for NamedCounters {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let known = self.known.load();
        let known = known.iter().map(|(name, cell)| (name.as_str(), cell));
        for (name, cell) in known.chain([(OTHER, &self.other)]) {
            let labels = [(self.label, name)];
            encode_count(&mut encoder.encode_family(&labels)?, cell.load(Relaxed))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// A point in time for each combination of labels; no series, where there is
/// none.
#[derive(Debug)]
pub struct Timestamps<L>(Arc<[AtomicU64]>, PhantomData<fn(L)>);

impl<L> Clone for Timestamps<L> {
    fn clone(&self) -> Self {
        Timestamps(Arc::clone(&self.0), PhantomData)
    }
}

impl<L: Labels> Default for Timestamps<L> {
    fn default() -> Self {
        Timestamps(cells(L::all().len()), PhantomData)
    }
}

impl<L: Labels> Timestamps<L> {
    /// From now on, it is `moment`.
    pub fn set(&self, labels: L, moment: Option<SystemTime>) {
        // Never 0, which says that there is none.
        let seconds = moment.map_or(0, |moment| unix_seconds(moment).max(1));
        self.0[labels.index()].store(seconds, Relaxed);
    }
}

impl<L: Labels + fmt::Debug> EncodeMetric for Timestamps<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, cell) in L::all().iter().zip(&*self.0) {
            match cell.load(Relaxed) {
                0 => {}
                seconds => encoder.encode_family(labels)?.encode_gauge(&seconds)?,
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

pub(super) fn unix_seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn cells(many: usize) -> Arc<[AtomicU64]> {
    (0..many).map(|_| AtomicU64::default()).collect()
}

fn encode_count(encoder: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

#[cfg(test)]
pub(super) mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    /// `metric`, called `x`, as it is exposed.
    pub(in crate::metrics) fn exposed(
        metric: impl EncodeMetric + fmt::Debug + Send + Sync + 'static,
    ) -> String {
        let mut registry = Registry::default();
        registry.register("x", "X", metric);
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a string");
        text
    }

    #[test]
    fn a_name_that_is_not_known_is_another_until_it_is() {
        let named = NamedCounters::new("profile", ["a".to_owned()].into_iter());
        named.add("a", 2);
        for odd in ["b", "", "a\"} 1\nforged 1", "other"] {
            named.add(odd, 1);
        }
        let text = exposed(named.clone());
        assert!(text.contains("x_total{profile=\"a\"} 2\n"), "{text}");
        assert!(text.contains("x_total{profile=\"other\"} 4\n"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
        named.know(["b", "a", "other"].map(str::to_owned).into_iter());
        named.add("b", 7);
        let text = exposed(named);
        assert!(text.contains("x_total{profile=\"a\"} 2\n"), "{text}");
        assert!(text.contains("x_total{profile=\"b\"} 7\n"), "{text}");
    }

    #[test]
    fn names_without_end_are_no_series_without_end() {
        let named = NamedCounters::new("profile", (0..1000).map(|number| format!("p{number}")));
        named.know((0..1000).map(|number| format!("q{number}")));
        assert_eq!(exposed(named).lines().count(), 2 + NAMES + 2);
    }
}
