//! The cache of namespaces: its size and age, read from the cache at each scrape;
//! and how look-ups of a namespace ended.

use std::time::Duration;

use prometheus_client::registry::Registry;

use super::label::label;
use super::series::{Counters, registered};
use super::state::{self, Shown};

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
    let metrics = [
        (
            "namespaces_cached",
            "Namespaces in the cache, with the label or for a namespace rule; with --namespaces, all \
             namespaces of the file",
            Shown::Gauge(|cache: &CacheState| cache.namespaces as u64),
        ),
        (
            "namespace_cache_fresh",
            "1 while the cache answers; 0 while each review queries the API server, because the \
             watch has not shown recently that it works",
            Shown::Gauge(|cache| u64::from(cache.is_fresh)),
        ),
        (
            "namespace_cache_age_seconds",
            "Time since the cache was last known to be complete; absent before the first list and \
             with --namespaces",
            Shown::Seconds(|cache| cache.age.map(|age| age.as_secs_f64())),
        ),
    ];
    state::register(registry, read, metrics);
}
