//! Answers a review: reads it, gets its namespace, decides, and waits for its record.

#![allow(
    clippy::result_large_err,
    reason = "both variants are the response, which is moved once"
)]

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use futures::poll;
use tokio::sync::Semaphore;

use super::audit_log::{Decided, HeldBack};
use super::bad_request::BadRequests;
use super::body::{self, BodyError, BufferedBody};
use super::incoming::{Incoming, api_server_timeout};
use super::large_review::answer_large;
use super::limits::ReviewLimits;
use super::load_shedding::{LoadShedding, Overload};
use crate::audit_log::log::AuditLog;
use crate::fairness::budget::{Budget, Reservation, max_single_reservation};
use crate::fairness::caller::{Caller, large_review_slots};
use crate::live_config::current::LiveConfig;
use crate::live_config::digest::RulesDigest;
use crate::logging::throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::metrics::requests::{Operation, Refused};
use crate::namespaces::source::{CalledBy, Namespaces};
use crate::namespaces::unavailable::Unavailable;
use crate::pod_events::PodEvents;
use admission::decision::Decision;
use admission::decision::pod_event::{CreatedPod, PodEvent};
use admission::decision::record::{About, Webhook};
use admission::mutate::{correction_size, mutate};
use admission::namespace::Namespace;
use admission::request::Request;
use admission::request::size::Size;
use admission::response;
use admission::validate::validate;

/// The longest body that is decided on a worker thread of the runtime. Most take well
/// under a millisecond, and the slowest a few.
pub(super) const LARGE_REVIEW: usize = 128 * 1024;

/// Answers reviews.
pub struct ReviewHandler {
    pub(super) rules: LiveConfig,
    namespaces: Namespaces,
    pub(super) audit_log: AuditLog,
    /// The timeout of a body.
    body: Duration,
    /// The memory for reviews, in bytes.
    memory: Budget,
    /// The maximum memory for one review.
    max_review_memory: usize,
    /// The slots for requests, whatever they wait for.
    requests: Budget,
    /// The slots for reviews in progress.
    pub(super) reviews: Budget,
    /// The slots for large reviews in progress.
    pub(super) large_review_slots: Arc<Semaphore>,
    pub(super) large_throttle: LogThrottle,
    pub(super) other_rules_throttle: LogThrottle,
    pub(super) bad_requests: BadRequests,
    pub(super) load_shedding: LoadShedding,
    pub(super) metrics: Arc<Metrics>,
    /// Where events on pods are created, if they are.
    pod_events: Option<PodEvents>,
}

impl ReviewHandler {
    /// A handler with this configuration.
    pub fn new(
        rules: LiveConfig,
        namespaces: Namespaces,
        audit_log: AuditLog,
        limits: &ReviewLimits,
        metrics: Arc<Metrics>,
        pod_events: Option<PodEvents>,
    ) -> ReviewHandler {
        ReviewHandler {
            rules,
            namespaces,
            audit_log,
            body: limits.body,
            memory: Budget::new(limits.memory),
            max_review_memory: max_single_reservation(limits.memory),
            requests: Budget::new(limits.requests),
            reviews: Budget::new(limits.reviews),
            large_review_slots: Arc::new(Semaphore::new(large_review_slots())),
            large_throttle: LogThrottle::default(),
            other_rules_throttle: LogThrottle::default(),
            bad_requests: BadRequests::new(Arc::clone(&metrics)),
            load_shedding: LoadShedding::new(Arc::clone(&metrics)),
            metrics,
            pod_events,
        }
    }
}

/// Answers a review. With `rules`, only if this replica has loaded exactly these.
pub(super) async fn answer(
    this: &Arc<ReviewHandler>,
    webhook: Webhook,
    rules: Option<&RulesDigest>,
    caller: &Arc<Caller>,
    uri: &Uri,
    body: Body,
) -> Response {
    let _in_flight = this.metrics.requests.begin();
    let Some(_request) = caller.requests.acquire(&this.requests) else {
        return this.load_shedding.shed(Overload::Concurrency, None);
    };
    let deadline = Instant::now() + api_server_timeout(uri);
    let time = this.body.min(deadline - Instant::now());
    let memory = || this.memory.reserve_for_caller(&caller.memory);
    let body = match body::read(body, memory, time).await {
        Ok(body) => body,
        Err(error) => return this.body_error(error),
    };
    if let Some(rules) = rules.filter(|rules| this.rules.digest() != Some(rules)) {
        return this.other_rules(rules, &body.bytes);
    }
    // A decision without a record is not sent, so it need not be made.
    if this.audit_log.is_stalled() {
        let uid = body::uid(&body.bytes);
        return this.load_shedding.shed(Overload::AuditLog, uid);
    }
    let incoming = Incoming {
        webhook,
        called_by: match rules {
            Some(_) => CalledBy::Rules,
            None => CalledBy::Label,
        },
        caller: Arc::clone(caller),
        deadline,
    };
    let answered = match body.bytes.len() {
        0..=LARGE_REVIEW => this.answer_small(&incoming, body).await,
        _ => answer_large(this, &incoming, body).await,
    };
    match answered {
        Ok((response, held)) => this.once_recorded(&incoming, response, held).await,
        Err(response) => response,
    }
}

impl ReviewHandler {
    async fn answer_small(
        &self,
        incoming: &Incoming,
        mut body: BufferedBody,
    ) -> Result<(Response, HeldBack), Response> {
        let caller = &incoming.caller;
        let size = Size::of(&body.bytes);
        self.reserve_memory(&mut body, size)?;
        let Some(_place) = caller.reviews.acquire(&self.reviews) else {
            return Err(self
                .load_shedding
                .shed(Overload::Concurrency, body::uid(&body.bytes)));
        };
        let start = Instant::now();
        let mut room = String::new();
        let request = self.read(&body.bytes, size, &mut room)?;
        let name = self.named(request.namespace.as_deref().map(str::to_owned))?;
        let mut namespace = pin!(self.namespace(&name, incoming));
        if let Poll::Ready(namespace) = poll!(&mut namespace) {
            let decided = self.decide(incoming, request, &namespace, start, body.memory);
            drop(body.bytes);
            return decided.map(Decided::response);
        }
        // A waiting review keeps only its body, so that many can wait.
        drop(request);
        drop(room);
        body.memory.shrink_to(body.bytes.capacity());
        let namespace = namespace.await;
        self.reserve_memory(&mut body, size)?;
        let BufferedBody { bytes, memory } = body;
        let mut room = String::new();
        let request = self.read(&bytes, size, &mut room)?;
        let decided = self.decide(incoming, request, &namespace, start, memory);
        drop(bytes);
        decided.map(Decided::response)
    }

    /// The memory for a review of this size, including its body, if one review may use
    /// that much.
    pub(super) fn check_size(&self, body: &BufferedBody, size: Size) -> Result<usize, Response> {
        let bytes = body.bytes.capacity() + size.bytes;
        if bytes <= self.max_review_memory {
            return Ok(bytes);
        }
        let text = "the review requires more memory than --max-body-memory allows";
        let uid = body::uid(&body.bytes);
        let code = StatusCode::PAYLOAD_TOO_LARGE;
        Err(self.bad_requests.refuse(Refused::TooLarge, code, text, uid))
    }

    /// Reserves the memory for a review of this size, in addition to its body.
    pub(super) fn reserve_memory(
        &self,
        body: &mut BufferedBody,
        size: Size,
    ) -> Result<(), Response> {
        let bytes = self.check_size(body, size)?;
        if !body.memory.grow_to(bytes) {
            return Err(self
                .load_shedding
                .shed(Overload::Memory, body::uid(&body.bytes)));
        }
        Ok(())
    }

    pub(super) fn read<'b>(
        &self,
        bytes: &'b [u8],
        size: Size,
        room: &'b mut String,
    ) -> Result<Request<'b>, Response> {
        Request::of_size(bytes, size, Some(room))
            .map_err(|error| self.bad_requests.no_review(&error.to_string()))
    }

    /// The name of the request's namespace, which is required.
    pub(super) fn named<N: Deref<Target = str>>(&self, name: Option<N>) -> Result<N, Response> {
        name.filter(|name| !name.is_empty()).ok_or_else(|| {
            self.bad_requests.no_review(
                "the AdmissionReview has no request.namespace; podseal reviews only pods",
            )
        })
    }

    pub(super) async fn namespace(
        &self,
        name: &str,
        incoming: &Incoming,
    ) -> Result<Arc<Namespace>, Unavailable> {
        let left = incoming.deadline.saturating_duration_since(Instant::now());
        let (called_by, peer) = (incoming.called_by, incoming.caller.peer);
        self.namespaces.get(name, called_by, peer, left).await
    }

    /// Decides, and queues the record.
    pub(super) fn decide(
        &self,
        incoming: &Incoming,
        request: Request<'_>,
        namespace: &Result<Arc<Namespace>, Unavailable>,
        start: Instant,
        mut memory: Reservation,
    ) -> Result<Decided, Response> {
        let webhook = incoming.webhook;
        let profiles = self.rules.profiles();
        let settings = self.rules.settings(&profiles);
        let corrections = correction_size(&request, &settings);
        if !memory.grow_to(memory.amount() + corrections) {
            return Err(self
                .load_shedding
                .shed(Overload::Memory, Some(request.uid.to_string())));
        }
        let operation = Operation::of(&request.operation);
        let about = About::of(&request);
        let events = self
            .pod_events
            .as_ref()
            .filter(|_| webhook == Webhook::Validate);
        let created = events.and_then(|events| Some((events, CreatedPod::of(&request)?)));
        let decision = match namespace {
            Ok(namespace) => match webhook {
                Webhook::Mutate => mutate(request, namespace, &settings),
                Webhook::Validate => validate(request, namespace, &settings),
            },
            Err(unavailable) => Decision::unavailable(&request, &unavailable.to_string()),
        };
        let answer = response::encode(about.uid(), &decision);
        let record = self.record(incoming, &about, &decision, start.elapsed());
        let Ok(record) = record else {
            let uid = Some(about.into_uid());
            return Err(self.load_shedding.shed(Overload::AuditLog, uid));
        };
        self.metrics.requests.decided(webhook, operation, &decision);
        let event =
            created.and_then(|(events, pod)| Some((events.clone(), PodEvent::of(pod, &decision)?)));
        let held = HeldBack {
            uid: about.into_uid(),
            start,
            record,
            event,
        };
        Ok(Decided {
            answer,
            memory,
            held,
        })
    }

    fn body_error(&self, error: BodyError) -> Response {
        let text = error.to_string();
        let (why, code) = match error {
            BodyError::NoMemory { uid } => return self.load_shedding.shed(Overload::Memory, uid),
            BodyError::TooLarge => (Refused::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
            BodyError::Truncated => (Refused::Truncated, StatusCode::BAD_REQUEST),
            BodyError::TooSlow => (Refused::BodyTimeout, StatusCode::REQUEST_TIMEOUT),
        };
        self.bad_requests.refuse(why, code, &text, None)
    }
}
