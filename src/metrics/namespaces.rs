//! The cache of namespaces: its size and age, read from the cache at each scrape;
//! and how look-ups of a namespace ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::label::label;
use super::series::{Counters, registered};

label! {
    /// How a look-up of a namespace ended.
    LookUp = "outcome" {
        /// The cache answered.
        Hit = "hit",
        /// The watch showed it while the review waited.
        Awaited = "awaited",
        /// The API server answered, perhaps for several reviews at once.
        Live = "live",
        /// The API server answered that there is no such namespace.
        NotFound = "not_found",
        /// The API server did not answer in time.
        TimedOut = "timed_out",
        /// The API server could not be reached, or refused.
        Failed = "failed",
        /// Too many reviews are waiting, most of them from the same client.
        Busy = "busy",
    }
}

/// Look-ups since the start, by outcome.
pub type LookUps = Counters<LookUp>;

/// The state of the cache of namespaces.
#[derive(Debug, Clone, Copy)]
pub struct CacheState {
    /// How many namespaces it contains.
    pub namespaces: usize,
    /// Whether reviews use it.
    pub is_fresh: bool,
    /// How long ago it was last known to be complete.
    pub age: Option<Duration>,
}

/// Reads the state of the cache.
type ReadCache = Arc<dyn Fn() -> CacheState + Send + Sync>;

pub(super) fn register_look_ups(registry: &mut Registry) -> LookUps {
    registered(
        registry,
        "namespace_lookups",
        "Namespace look-ups for reviews, by outcome",
    )
}

/// Registers the metrics of the cache, whose state `read` returns.
pub(super) fn register_cache(
    registry: &mut Registry,
    read: impl Fn() -> CacheState + Send + Sync + 'static,
) {
    let read: ReadCache = Arc::new(read);
    let gauge = |figure| CacheGauge {
        figure,
        read: Arc::clone(&read),
    };
    registry.register(
        "namespaces_cached",
        "Namespaces in the cache, with the label or for a namespace rule; with --namespaces, all \
         namespaces of the file",
        gauge(Figure::Namespaces),
    );
    registry.register(
        "namespace_cache_fresh",
        "1 while the cache answers; 0 while each review queries the API server, because the \
         watch has not shown recently that it works",
        gauge(Figure::IsFresh),
    );
    registry.register(
        "namespace_cache_age_seconds",
        "Time since the cache was last known to be complete; absent before the first list and \
         with --namespaces",
        gauge(Figure::Age),
    );
}

/// What a gauge shows of the cache.
#[derive(Debug, Clone, Copy)]
enum Figure {
    Namespaces,
    IsFresh,
    Age,
}

struct CacheGauge {
    figure: Figure,
    read: ReadCache,
}

impl fmt::Debug for CacheGauge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = &self.figure;
        formatter
            .debug_struct("CacheGauge")
            .field("figure", figure)
            .finish_non_exhaustive()
    }
}

impl EncodeMetric for CacheGauge {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let cache = (self.read)();
        match self.figure {
            Figure::Namespaces => encoder.encode_gauge(&(cache.namespaces as u64)),
            Figure::IsFresh => encoder.encode_gauge(&u64::from(cache.is_fresh)),
            Figure::Age => match cache.age {
                Some(age) => encoder.encode_gauge(&age.as_secs_f64()),
                None => Ok(()),
            },
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
