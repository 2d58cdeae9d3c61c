//! Creates an event on each pod with cautions. No review waits for it.

use std::time::Duration;

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

/// The pause between two events. Whoever reaches the port can send reviews, and the API
/// server keeps each event for an hour.
const PAUSE: Duration = Duration::from_millis(100);

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

    /// Has the event created at some time.
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
    while let Some(event) = waiting.recv().await {
        let outcome = match create(&client, &event, &instance).await {
            Ok(outcome) => outcome,
            Err(error) => {
                if let Some(suppressed) = failures.pass() {
                    let (namespace, pod) = (event.namespace(), event.pod());
                    tracing::warn!(namespace, %pod, error, suppressed, "cannot create an event on a pod");
                }
                PodEventOutcome::Failed
            }
        };
        metrics.ended(outcome);
        sleep(PAUSE).await;
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
