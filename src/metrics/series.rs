//! What counts and what is measured: cells that are added to without a lock.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

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

/// A counter for each name of a list that is known at the start, and one for
/// every other name.
#[derive(Debug, Clone)]
pub struct Named {
    label: &'static str,
    names: Arc<[String]>,
    cells: Arc<[AtomicU64]>,
}

impl Named {
    /// Counters for `names`.
    pub fn new(label: &'static str, names: impl Iterator<Item = String>) -> Named {
        let names: Arc<[_]> = names.chain(["other".to_owned()]).collect();
        let cells = cells(names.len());
        Named {
            label,
            names,
            cells,
        }
    }

    /// Counts `many` for `name`.
    pub fn add(&self, name: &str, many: u64) {
        let index = self.names.iter().position(|known| known == name);
        let cell = index.unwrap_or(self.cells.len() - 1);
        self.cells[cell].fetch_add(many, Relaxed);
    }
}

impl EncodeMetric for Named {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (name, cell) in self.names.iter().zip(&*self.cells) {
            let labels = [(self.label, name.as_str())];
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
pub struct Moments<L>(Arc<[AtomicU64]>, PhantomData<fn(L)>);

impl<L> Clone for Moments<L> {
    fn clone(&self) -> Self {
        Moments(Arc::clone(&self.0), PhantomData)
    }
}

impl<L: Labels> Default for Moments<L> {
    fn default() -> Self {
        Moments(cells(L::all().len()), PhantomData)
    }
}

impl<L: Labels> Moments<L> {
    /// From now on, it is `moment`.
    pub fn set(&self, labels: L, moment: Option<SystemTime>) {
        // Never 0, which says that there is none.
        let seconds = moment.map_or(0, |moment| unix_seconds(moment).max(1));
        self.0[labels.index()].store(seconds, Relaxed);
    }
}

impl<L: Labels + fmt::Debug> EncodeMetric for Moments<L> {
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
    fn a_name_that_is_not_known_from_the_start_is_another() {
        let named = Named::new("profile", ["a".to_owned()].into_iter());
        named.add("a", 2);
        for odd in ["b", "", "a\"} 1\nforged 1", "other"] {
            named.add(odd, 1);
        }
        let text = exposed(named);
        assert!(text.contains("x_total{profile=\"a\"} 2\n"), "{text}");
        assert!(text.contains("x_total{profile=\"other\"} 4\n"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
