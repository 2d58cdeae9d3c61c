//! Durations, in buckets that fit microseconds.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::label::Labels;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::tests::exposed;
    use admission::decision::record::Webhook;

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
}
