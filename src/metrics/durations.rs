//! Durations, in buckets that fit microseconds.
//!
//! The histogram of `prometheus_client` locks a mutex for each observation; this
//! one does not, because nothing in a review may wait for a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The upper bounds of the buckets, in nanoseconds. A review takes tens of
/// microseconds; one that waits for a look-up at the API server takes up to seconds.
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

/// A histogram of durations. Clones share their buckets.
#[derive(Debug, Clone, Default)]
pub struct Durations(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    /// Counts one that took `duration`.
    pub fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.0.buckets[bucket].fetch_add(1, Relaxed);
        self.0.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let bounds = BOUNDS.map(seconds).into_iter().chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        // The sum of the buckets as just read, so that the count equals the last
        // bucket even if a scrape falls between two additions.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.0.nanoseconds.load(Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::Series;
    use crate::metrics::series::tests::exposed;
    use admission::decision::record::Webhook;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_is_not_shorter_and_in_all_longer_ones() {
        let durations = Series::<Webhook, Durations>::default();
        let nanoseconds = [
            0,
            10_000,
            10_001,
            5_000_000_000,
            5_000_000_001,
            u64::MAX / 4,
        ];
        for nanoseconds in nanoseconds {
            let duration = Duration::from_nanos(nanoseconds);
            durations.of(Webhook::Mutate).observe(duration);
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
        let durations = Series::<Webhook, Durations>::default();
        for _ in 0..3 {
            let duration = Duration::from_millis(500);
            durations.of(Webhook::Validate).observe(duration);
        }
        let text = exposed(durations);
        assert!(text.contains("x_sum{webhook=\"validate\"} 1.5\n"), "{text}");
    }
}
