//! The event on a job's pod with its cautions. GitLab Runner prints it into the job log
//! when the job fails (`print_pod_warning_events`), or at once if the job sets
//! `FF_PRINT_POD_EVENTS`.

use serde_json::{Value, json};

use super::{Answer, Decision};
use crate::pod::names::is_subdomain;
use crate::request::{Act, Request};
use crate::text::bounded;

/// The reason of each event.
pub const REASON: &str = "MayNotRun";

/// The longest message (Kubernetes API, `events.k8s.io/v1`, `note`: less than 1 kB).
const MESSAGE: usize = 1000;

/// A pod that is being created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedPod {
    namespace: String,
    name: String,
    uid: String,
}

/// An event on such a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodEvent {
    pod: CreatedPod,
    message: String,
}

impl CreatedPod {
    /// The pod that `request` creates, unless it is a dry run. The API server gives a pod
    /// its name and uid before it calls validating webhooks.
    pub fn of(request: &Request<'_>) -> Option<CreatedPod> {
        let metadata = &request.object.as_ref()?.metadata;
        let is_created = request.act() == Act::Create && request.dry_run != Some(true);
        let name = metadata.name.as_deref().filter(|name| is_subdomain(name))?;
        let uid = metadata.uid.as_deref().filter(|uid| is_uuid(uid))?;
        is_created.then(|| CreatedPod {
            namespace: request.namespace.as_deref().unwrap_or_default().to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
        })
    }
}

/// Whether it looks like a uid: any client of podseal's port can send a review.
fn is_uuid(uid: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-';
    uid.len() == 36 && uid.bytes().all(is_inner) && is_subdomain(uid)
}

impl PodEvent {
    /// The event on a pod that `decision` admits with cautions. In the mode `audit`
    /// nothing leaves podseal.
    pub fn of(pod: CreatedPod, decision: &Decision<'_>) -> Option<PodEvent> {
        let is_admitted = !matches!(decision.answer(), Answer::Deny(_));
        let cautions: Vec<_> = decision.cautions_for_creator().collect();
        if cautions.is_empty() || !is_admitted {
            return None;
        }
        // The runner does not print who reports an event.
        let mut message = format!("podseal: {}", cautions.join("; "));
        message.truncate(message.floor_char_boundary(MESSAGE));
        Some(PodEvent { pod, message })
    }

    /// The namespace of the pod, and so of the event.
    pub fn namespace(&self) -> &str {
        &self.pod.namespace
    }

    /// The pod, for the log.
    pub fn pod(&self) -> std::borrow::Cow<'_, str> {
        bounded(&self.pod.name)
    }

    /// The object. Its name is the pod's uid, so that there is one for each pod, whichever
    /// replica is called and how often.
    pub fn object(&self, time: &str, instance: &str) -> Value {
        let CreatedPod {
            namespace,
            name,
            uid,
        } = &self.pod;
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": format!("podseal.{uid}"), "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
            "type": "Warning",
            "reason": REASON,
            "message": self.message,
            "count": 1,
            "firstTimestamp": time,
            "lastTimestamp": time,
            "source": {"component": "podseal"},
            "reportingComponent": "podseal",
            "reportingInstance": instance,
        })
    }
}
