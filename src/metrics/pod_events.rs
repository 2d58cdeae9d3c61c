//! Events on pods.

use prometheus_client::registry::Registry;

use super::label::label;
use super::series::{Counters, registered};

label! {
    /// What became of an event.
    PodEventOutcome = "outcome" {
        /// It was created.
        Created = "created",
        /// The pod had it already.
        Existing = "existing",
        /// The API server did not create it.
        Failed = "failed",
        /// Too many were waiting.
        Dropped = "dropped",
    }
}

/// The metrics of events on pods.
#[derive(Debug, Clone)]
pub struct PodEventMetrics {
    outcomes: Counters<PodEventOutcome>,
}

impl PodEventMetrics {
    pub(super) fn register(registry: &mut Registry) -> PodEventMetrics {
        PodEventMetrics {
            outcomes: registered(registry, "pod_events", "Events on pods that may not run"),
        }
    }

    /// Counts an event.
    pub fn ended(&self, outcome: PodEventOutcome) {
        self.outcomes.of(outcome).inc();
    }
}
