//! What counts and what is measured: cells that are added to without a lock.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// The upper bounds of the buckets, in nanoseconds. A review takes tens of
/// microseconds; one that waits for a live look-up takes up to seconds.
const BOUNDS: [u64; 18] = {
    let microseconds = [
        10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
        500_000, 1_000_000, 2_500_000, 5_000_000,
    ];
    let mut bounds = microseconds;
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] = microseconds[index] * 1_000;
        index += 1;
    }
    bounds
};

/// Durations by labels. The crate's own histogram takes a lock for each.
#[derive(Debug)]
pub struct Durations<L>(Arc<[Histogram]>, PhantomData<fn(L)>);

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl<L> Clone for Durations<L> {
    fn clone(&self) -> Self {
        Durations(Arc::clone(&self.0), PhantomData)
    }
}

impl<L: Labels> Default for Durations<L> {
    fn default() -> Self {
        let histograms = L::all().iter().map(|_| Histogram::default()).collect();
        Durations(histograms, PhantomData)
    }
}

impl<L: Labels> Durations<L> {
    /// Counts one that took `duration`.
    pub fn observe(&self, labels: L, duration: Duration) {
        let histogram = &self.0[labels.index()];
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        histogram.buckets[bucket].fetch_add(1, Relaxed);
        histogram.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

impl<L: Labels + fmt::Debug> EncodeMetric for Durations<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let bounds = BOUNDS.map(seconds).into_iter().chain([f64::INFINITY]);
        for (labels, histogram) in L::all().iter().zip(&*self.0) {
            let counts = histogram.buckets.iter().map(|bucket| bucket.load(Relaxed));
            let buckets: Vec<_> = bounds.clone().zip(counts).collect();
            // Of the buckets as just read, so that a scrape between two additions
            // never shows a count that is not the last bucket's.
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = seconds(histogram.nanoseconds.load(Relaxed));
            let mut encoder = encoder.encode_family(labels)?;
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
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
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::webhook::record::Webhook;

    fn exposed(metric: impl EncodeMetric + fmt::Debug + Send + Sync + 'static) -> String {
        let mut registry = Registry::default();
        registry.register("x", "X", metric);
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a string");
        text
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_that_is_not_shorter_and_in_all_longer_ones() {
        let durations = Durations::<(Webhook,)>::default();
        let nanoseconds = [
            0,
            10_000,
            10_001,
            5_000_000_000,
            5_000_000_001,
            u64::MAX / 4,
        ];
        for nanoseconds in nanoseconds {
            durations.observe((Webhook::Mutate,), Duration::from_nanos(nanoseconds));
        }
        let text = exposed(durations);
        for line in [
            "x_bucket{le=\"0.00001\",webhook=\"mutate\"} 2",
            "x_bucket{le=\"0.000025\",webhook=\"mutate\"} 3",
            "x_bucket{le=\"2.5\",webhook=\"mutate\"} 3",
            "x_bucket{le=\"5.0\",webhook=\"mutate\"} 4",
            "x_bucket{le=\"+Inf\",webhook=\"mutate\"} 6",
            "x_count{webhook=\"mutate\"} 6",
            "x_count{webhook=\"validate\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_sum_is_in_seconds() {
        let durations = Durations::<(Webhook,)>::default();
        for _ in 0..3 {
            durations.observe((Webhook::Validate,), Duration::from_millis(500));
        }
        let text = exposed(durations);
        assert!(text.contains("x_sum{webhook=\"validate\"} 1.5\n"), "{text}");
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
