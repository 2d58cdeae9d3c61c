//! Queues the record of a decision, and holds the answer back until it is written.

use std::time::{Duration, Instant};

use axum::response::Response;

use super::incoming::Incoming;
use super::json_response::charged_json_response;
use super::load_shedding::Overload;
use super::review::ReviewHandler;
use crate::audit_log::log::{NotWritten, QueuedRecord};
use crate::fairness::budget::Reservation;
use crate::pod_events::PodEvents;
use admission::decision::Decision;
use admission::decision::pod_event::PodEvent;
use admission::decision::record;
use admission::decision::record::About;

/// A decision whose record is queued.
pub(super) struct Decided {
    pub(super) answer: Vec<u8>,
    /// The memory that includes the answer.
    pub(super) memory: Reservation,
    pub(super) held: HeldBack,
}

/// What an answer waits for, and what is done once it is sent.
pub(super) struct HeldBack {
    pub(super) uid: String,
    pub(super) start: Instant,
    pub(super) record: QueuedRecord,
    pub(super) event: Option<(PodEvents, PodEvent)>,
}

impl Decided {
    /// The response, for which only its own memory stays reserved.
    pub(super) fn response(self) -> (Response, HeldBack) {
        (charged_json_response(self.answer, self.memory), self.held)
    }
}

impl ReviewHandler {
    /// Queues the record of `decision`.
    pub(super) fn record(
        &self,
        incoming: &Incoming,
        about: &About,
        decision: &Decision<'_>,
        duration: Duration,
    ) -> Result<QueuedRecord, NotWritten> {
        let time = jiff::Timestamp::now().to_string();
        let record = record::line(incoming.webhook, about, decision, &time, duration);
        let caller = &incoming.caller.records;
        self.audit_log.append(caller, record, incoming.deadline)
    }

    /// Waits for the record, and returns the answer; or rejects the review for now.
    pub(super) async fn once_recorded(
        &self,
        incoming: &Incoming,
        response: Response,
        held: HeldBack,
    ) -> Response {
        if held.record.written().await.is_err() {
            return self.load_shedding.shed(Overload::AuditLog, Some(held.uid));
        }
        if let Some((events, event)) = held.event {
            events.post(event);
        }
        let requests = &self.metrics.requests;
        requests.answered(incoming.webhook, held.start.elapsed());
        response
    }
}
