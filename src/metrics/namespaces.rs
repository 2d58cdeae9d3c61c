//! The cache of namespaces: its size, its age, and what was asked of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::label;
use super::series::Counters;

label! {
    /// How a look-up of a namespace went.
    Lookup = "outcome" {
        /// The cache knew it.
        Hit = "hit",
        /// The API server was asked, and told.
        Live = "live",
        /// There is no such namespace.
        NotFound = "not_found",
        /// The API server did not answer in time.
        TimedOut = "timed_out",
        /// The API server could not be asked, or refused.
        Failed = "failed",
        /// As many look-ups as may be were under way.
        Busy = "busy",
    }
}

/// The figures of the cache of namespaces.
#[derive(Debug, Clone)]
pub struct NamespaceCache {
    cached: Gauge,
    age: Age,
    lookups: Counters<(Lookup,)>,
}

/// How long ago the watch was seen alive; nothing, where nothing is watched.
#[derive(Debug, Clone)]
struct Age {
    zero: Instant,
    /// Milliseconds after `zero`, plus one: 0 is never.
    alive: Arc<AtomicU64>,
}

impl NamespaceCache {
    pub(super) fn register(registry: &mut Registry) -> NamespaceCache {
        let cache = NamespaceCache {
            cached: Gauge::default(),
            age: Age {
                zero: Instant::now(),
                alive: Arc::default(),
            },
            lookups: Counters::default(),
        };
        registry.register(
            "namespaces_cached",
            "Opted-in namespaces in the cache",
            cache.cached.clone(),
        );
        registry.register(
            "namespace_cache_age_seconds",
            "Time since the watch of namespaces last proved to be alive; absent with --namespaces",
            cache.age.clone(),
        );
        registry.register(
            "namespace_lookups",
            "Look-ups of a namespace for a review, by outcome",
            cache.lookups.clone(),
        );
        cache
    }

    /// The cache holds so many.
    pub fn cached(&self, many: usize) {
        self.cached.set(i64::try_from(many).unwrap_or(i64::MAX));
    }

    /// The watch proved at `now` to be alive. Said once when the watch starts,
    /// too: a cluster that was never reached is as stale as one that is gone.
    pub fn alive(&self, now: Instant) {
        let since = now.saturating_duration_since(self.age.zero).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX - 1);
        self.age.alive.fetch_max(since + 1, Relaxed);
    }

    /// A namespace was looked up.
    pub fn looked_up(&self, outcome: Lookup) {
        self.lookups.count((outcome,));
    }
}

impl Age {
    fn seconds(&self, now: Instant) -> Option<f64> {
        let alive = self.alive.load(Relaxed).checked_sub(1)?;
        let now = now.saturating_duration_since(self.zero).as_secs_f64();
        Some((now - alive as f64 / 1e3).max(0.0))
    }
}

impl EncodeMetric for Age {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.seconds(Instant::now()) {
            Some(seconds) => encoder.encode_gauge(&seconds),
            None => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_age_counts_from_the_last_sign_of_life_and_there_is_none_before_the_first() {
        let cache = NamespaceCache::register(&mut Registry::default());
        let after = |seconds| cache.age.zero + Duration::from_secs(seconds);
        assert_eq!(cache.age.seconds(after(9)), None);
        cache.alive(after(2));
        assert_eq!(cache.age.seconds(after(9)), Some(7.0));
        cache.alive(after(1));
        assert_eq!(cache.age.seconds(after(9)), Some(7.0), "an older sign");
        cache.alive(after(8));
        assert_eq!(cache.age.seconds(after(9)), Some(1.0));
    }
}
