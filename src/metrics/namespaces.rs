//! The cache of namespaces: its size and its age, read where it stands at each
//! scrape; and how look-ups of a namespace ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::label::label;
use super::series::Counters;

label! {
    /// How a look-up of a namespace ended.
    LookUp = "outcome" {
        /// The cache knew.
        Hit = "hit",
        /// The API server was asked, perhaps for several reviews at once, and knew.
        Live = "live",
        /// The API server was asked, and knows no such namespace.
        NotFound = "not_found",
        /// The API server did not answer in time.
        TimedOut = "timed_out",
        /// The API server could not be asked, or refused.
        Failed = "failed",
        /// Too many wait for an answer, and most of them on behalf of the same peer.
        Busy = "busy",
    }
}

/// How many look-ups ended in which way, since the start.
pub type LookUps = Counters<(LookUp,)>;

/// The cache of namespaces, as it is at one moment.
#[derive(Debug, Clone, Copy)]
pub struct CacheState {
    /// How many namespaces are known without asking.
    pub namespaces: usize,
    /// Whether what is known is used.
    pub is_fresh: bool,
    /// How long ago it was certainly complete.
    pub age: Option<Duration>,
}

/// Reads the state of the cache.
type ReadCache = Arc<dyn Fn() -> CacheState + Send + Sync>;

pub(super) fn register_look_ups(registry: &mut Registry) -> LookUps {
    let look_ups = LookUps::default();
    registry.register(
        "namespace_lookups",
        "Look-ups of a namespace for a review, by outcome",
        look_ups.clone(),
    );
    look_ups
}

/// Registers the figures of the cache that `read` reads.
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
        "Opted-in namespaces in the cache; with --namespaces, all that stand in the file",
        gauge(Figure::Namespaces),
    );
    registry.register(
        "namespace_cache_fresh",
        "1 while the cache answers; 0 while every review asks the API server instead, because \
         the watch has not proved to be alive",
        gauge(Figure::IsFresh),
    );
    registry.register(
        "namespace_cache_age_seconds",
        "Time since the cache was certainly complete; absent before the first list, and with \
         --namespaces",
        gauge(Figure::Age),
    );
}

/// A figure of the cache.
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
