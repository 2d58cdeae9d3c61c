//! Metrics of a state that is read at each scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// What a metric shows of a state.
pub(super) enum Shown<S> {
    Counter(fn(&S) -> u64),
    Gauge(fn(&S) -> u64),
    /// Seconds; absent while there are none.
    Seconds(fn(&S) -> Option<f64>),
}

/// Registers metrics, each by its name and its help, of the state that `read` returns.
pub(super) fn register<S: 'static>(
    registry: &mut Registry,
    read: impl Fn() -> S + Send + Sync + 'static,
    metrics: impl IntoIterator<Item = (&'static str, &'static str, Shown<S>)>,
) {
    let read: Arc<dyn Fn() -> S + Send + Sync> = Arc::new(read);
    for (name, help, shown) in metrics {
        let read = Arc::clone(&read);
        registry.register(name, help, StateMetric { shown, read });
    }
}

struct StateMetric<S> {
    shown: Shown<S>,
    read: Arc<dyn Fn() -> S + Send + Sync>,
}

impl<S> fmt::Debug for StateMetric<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StateMetric")
            .finish_non_exhaustive()
    }
}

impl<S: 'static> EncodeMetric for StateMetric<S> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let state = (self.read)();
        match self.shown {
            Shown::Counter(of) => encoder.encode_counter::<NoLabelSet, _, u64>(&of(&state), None),
            Shown::Gauge(of) => encoder.encode_gauge(&of(&state)),
            Shown::Seconds(of) => match of(&state) {
                Some(seconds) => encoder.encode_gauge(&seconds),
                None => Ok(()),
            },
        }
    }

    fn metric_type(&self) -> MetricType {
        match self.shown {
            Shown::Counter(_) => MetricType::Counter,
            Shown::Gauge(_) | Shown::Seconds(_) => MetricType::Gauge,
        }
    }
}
