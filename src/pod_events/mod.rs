//! Creates an event on each pod with cautions. No review waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::kubernetes::error::core_of;
use crate::kubernetes::request::ask;
use crate::logging::throttle::LogThrottle;
use crate::metrics::pod_events::{PodEventMetrics, PodEventOutcome};
use admission::decision::pod_event::PodEvent;

/// How many events may wait. Those beyond are dropped.
const WAITING: usize = 256;

/// The pause between two events. Any client of the port can send reviews, and the API server
/// keeps each event for an hour.
const PAUSE: Duration = Duration::from_millis(100);

/// How many events a namespace may have in a minute, from one replica.
const PER_MINUTE: u32 = 30;

/// How many namespaces are counted at a time.
const COUNTED: usize = 1024;

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends events to the task that creates them.
#[derive(Debug, Clone)]
pub struct PodEvents {
    queue: mpsc::Sender<PodEvent>,
    metrics: PodEventMetrics,
}

impl PodEvents {
    /// Starts the task. `instance` is this replica.
    pub fn start(client: kube::Client, instance: String, metrics: PodEventMetrics) -> PodEvents {
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(create_all(client, waiting, instance, metrics.clone()));
        PodEvents { queue, metrics }
    }

    /// Queues the event, or drops it if too many are waiting.
    pub fn post(&self, event: PodEvent) {
        if self.queue.try_send(event).is_err() {
            self.metrics.ended(PodEventOutcome::Dropped);
        }
    }
}

async fn create_all(
    client: kube::Client,
    mut waiting: mpsc::Receiver<PodEvent>,
    instance: String,
    metrics: PodEventMetrics,
) {
    let failures = LogThrottle::default();
    let mut counts = Counts::new();
    while let Some(event) = waiting.recv().await {
        if !counts.take(event.namespace()) {
            metrics.ended(PodEventOutcome::Dropped);
            continue;
        }
        let outcome = match create(&client, &event, &instance).await {
            Ok(outcome) => outcome,
            Err(error) => {
                if let Some(suppressed) = failures.pass() {
                    let (namespace, pod) = (event.namespace(), event.pod());
                    tracing::warn!(namespace, %pod, error, suppressed, "cannot create an event on a pod; if podseal may not create events, upgrade the chart with serve.podEvents=true, or remove --pod-events");
                }
                PodEventOutcome::Failed
            }
        };
        metrics.ended(outcome);
        sleep(PAUSE).await;
    }
}

/// The events of the current minute, by namespace.
struct Counts {
    since: Instant,
    by_namespace: HashMap<String, u32>,
}

impl Counts {
    fn new() -> Counts {
        Counts {
            since: Instant::now(),
            by_namespace: HashMap::new(),
        }
    }

    /// Whether the namespace may have one more.
    fn take(&mut self, namespace: &str) -> bool {
        let is_over = self.since.elapsed() > Duration::from_secs(60);
        if is_over || self.by_namespace.len() >= COUNTED {
            *self = Counts::new();
        }
        let count = self.by_namespace.entry(namespace.to_owned()).or_default();
        *count += 1;
        *count <= PER_MINUTE
    }
}

async fn create(
    client: &kube::Client,
    event: &PodEvent,
    instance: &str,
) -> Result<PodEventOutcome, String> {
    let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let path = format!("/api/v1/namespaces/{}/events", event.namespace());
    let body = event.object(&time, instance).to_string().into_bytes();
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(body).expect("the namespace is a plain name");
    match timeout(PATIENCE, ask(client, request, PATIENCE)).await {
        Ok(Ok(_)) => Ok(PodEventOutcome::Created),
        // By another replica, or another call for the same pod.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(PodEventOutcome::Existing),
        Ok(Err(error)) => Err(core_of(&error)),
        Err(_) => Err("the API server did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_so_many_events_in_a_minute_and_others_have_theirs() {
        let mut counts = Counts::new();
        let taken = (0..100).filter(|_| counts.take("ci")).count();
        assert_eq!(taken, 30);
        assert!(counts.take("other"));
        counts.since -= Duration::from_secs(61);
        assert!(counts.take("ci"));
        for n in 0..5000 {
            counts.take(&format!("ns-{n}"));
        }
        assert!(counts.by_namespace.len() <= COUNTED);
    }
}
