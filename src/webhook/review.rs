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
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use futures::poll;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::audit_log::{Decided, HeldBack};
use super::bad_request::BadRequests;
use super::body::{self, BodyError, BufferedBody};
use super::json_response::json_response;
use super::limits::ReviewLimits;
use super::load_shedding::{LoadShedding, Overload};
use crate::audit_log::log::AuditLog;
use crate::fairness::budget::{Budget, Reservation, max_single_reservation};
use crate::fairness::caller::{Caller, large_review_slots};
use crate::live_config::current::LiveConfig;
use crate::live_config::digest::RulesDigest;
use crate::logging::throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::metrics::requests::{Operation, Refused, Shed};
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
use admission::text::bounded;
use admission::validate::validate;

/// The longest body that is decided on a worker thread of the runtime. Most take well
/// under a millisecond, and the slowest a few.
const LARGE_REVIEW: usize = 128 * 1024;

/// The memory to scan a large review, as a multiple of its body: the parser's buffer.
const PARSER_FACTOR: usize = 4;

/// Answers reviews.
pub struct ReviewHandler {
    rules: LiveConfig,
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
    reviews: Budget,
    /// The slots for large reviews in progress.
    large_review_slots: Arc<Semaphore>,
    large_throttle: LogThrottle,
    other_rules_throttle: LogThrottle,
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

/// A review, besides its body.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) webhook: Webhook,
    called_by: CalledBy,
    pub(super) caller: Arc<Caller>,
    /// When the API server stops waiting.
    pub(super) deadline: Instant,
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

/// Answers a large review without blocking a worker thread of the runtime, which then
/// answers probes and other reviews. Few large reviews are in progress at a time; the
/// others wait for a slot. A review has no slot while it waits for its namespace.
async fn answer_large(
    this: &Arc<ReviewHandler>,
    incoming: &Incoming,
    mut body: BufferedBody,
) -> Result<(Response, HeldBack), Response> {
    let Incoming {
        webhook,
        ref caller,
        deadline,
        ..
    } = *incoming;
    // Logged first, so that it is in the log whatever happens next.
    if let Some(suppressed) = this.large_throttle.pass() {
        let (uid, bytes) = (body::uid(&body.bytes), body.bytes.len());
        let uid = uid.as_deref().map(bounded).unwrap_or_default();
        tracing::info!(?webhook, %uid, bytes, suppressed, "reading a large review");
    }
    let least = Size::of_bytes(PARSER_FACTOR * body.bytes.len());
    let Some(_place) = caller.reviews.acquire(&this.reviews) else {
        return Err(this
            .load_shedding
            .shed(Overload::Concurrency, body::uid(&body.bytes)));
    };
    let start = Instant::now();
    // In line it holds only its body. Where there is no memory for more now, it is shed
    // before it stands in line, or the bodies behind it could have it shed at its turn.
    this.reserve_memory(&mut body, least)?;
    body.memory.shrink_to(body.bytes.capacity());
    let slot = this.large_review_slot(caller, &body, deadline).await?;
    this.reserve_memory(&mut body, least)?;
    // The task outlives its connection, and counts for the caller until it ends.
    let held_by = Arc::clone(caller);
    let looked = tokio::task::spawn_blocking(move || {
        let _held_by = held_by;
        let size = Size::of(&body.bytes);
        let namespace = Request::without_pods(&body.bytes)
            .map(|request| request.namespace.as_deref().map(str::to_owned))
            .map_err(|error| bounded(&error.to_string()).into_owned());
        body.memory.shrink_to(body.bytes.capacity());
        (body, size, namespace, slot)
    });
    let (mut body, size, name, slot) = looked.await.expect("counting does not panic");
    let name = name.map_err(|error| this.bad_requests.no_review(&error))?;
    let name = this.named(name)?;
    this.check_size(&body, size)?;
    let mut namespace = pin!(this.namespace(&name, incoming));
    let (namespace, slot) = match poll!(&mut namespace) {
        Poll::Ready(namespace) => (namespace, slot),
        Poll::Pending => {
            drop(slot);
            let namespace = namespace.await;
            let slot = this.large_review_slot(caller, &body, deadline).await?;
            (namespace, slot)
        }
    };
    this.reserve_memory(&mut body, size)?;
    let this = Arc::clone(this);
    let incoming = incoming.clone();
    let decided = tokio::task::spawn_blocking(move || {
        let BufferedBody { bytes, memory } = body;
        let mut room = String::new();
        let request = this.read(&bytes, size, &mut room);
        let decided =
            request.and_then(|request| this.decide(&incoming, request, &namespace, start, memory));
        drop(bytes);
        let answered = decided.map(Decided::response);
        // After the memory, which the next review with this slot requires immediately.
        drop(slot);
        answered
    });
    decided.await.expect("a decision does not panic")
}

/// A slot for a large review in progress.
struct LargeReviewSlot {
    _of_caller: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
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
    fn check_size(&self, body: &BufferedBody, size: Size) -> Result<usize, Response> {
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
    fn reserve_memory(&self, body: &mut BufferedBody, size: Size) -> Result<(), Response> {
        let bytes = self.check_size(body, size)?;
        if !body.memory.grow_to(bytes) {
            return Err(self
                .load_shedding
                .shed(Overload::Memory, body::uid(&body.bytes)));
        }
        Ok(())
    }

    /// Waits for a slot for a large review. A caller has at most as many positions in the
    /// queue as there are slots, so that its reviews do not delay those of other callers.
    async fn large_review_slot(
        &self,
        caller: &Caller,
        body: &BufferedBody,
        deadline: Instant,
    ) -> Result<LargeReviewSlot, Response> {
        let queued = async {
            let of_caller = Arc::clone(&caller.large_reviews).acquire_owned().await;
            let of_all = Arc::clone(&self.large_review_slots).acquire_owned().await;
            LargeReviewSlot {
                _of_caller: of_caller.expect("it is never closed"),
                _of_all: of_all.expect("it is never closed"),
            }
        };
        let slot = tokio::time::timeout_at(deadline.into(), queued).await;
        slot.map_err(|_| {
            self.load_shedding
                .shed(Overload::Concurrency, body::uid(&body.bytes))
        })
    }

    fn read<'b>(
        &self,
        bytes: &'b [u8],
        size: Size,
        room: &'b mut String,
    ) -> Result<Request<'b>, Response> {
        Request::of_size(bytes, size, Some(room))
            .map_err(|error| self.bad_requests.no_review(&error.to_string()))
    }

    /// The name of the request's namespace, which is required.
    fn named<N: Deref<Target = str>>(&self, name: Option<N>) -> Result<N, Response> {
        name.filter(|name| !name.is_empty()).ok_or_else(|| {
            self.bad_requests.no_review(
                "the AdmissionReview has no request.namespace; podseal reviews only pods",
            )
        })
    }

    async fn namespace(
        &self,
        name: &str,
        incoming: &Incoming,
    ) -> Result<Arc<Namespace>, Unavailable> {
        let left = incoming.deadline.saturating_duration_since(Instant::now());
        let (called_by, peer) = (incoming.called_by, incoming.caller.peer);
        self.namespaces.get(name, called_by, peer, left).await
    }

    /// Decides, and queues the record.
    fn decide(
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

    /// The response to a review that requires rules which this replica has not loaded.
    fn other_rules(&self, asked: &RulesDigest, review: &[u8]) -> Response {
        // The API server writes the uid first. Other positions are searched only in
        // small reviews.
        let anywhere = || {
            let request = Request::without_pods(review).ok()?;
            Some(request.uid.to_string())
        };
        let is_small = review.len() <= LARGE_REVIEW;
        let Some(uid) = body::uid(review).or_else(|| is_small.then(anywhere)?) else {
            return self
                .bad_requests
                .no_review("the AdmissionReview has no request.uid");
        };
        self.metrics.requests.shed(Shed::Rules);
        let asked = asked.to_string();
        let held = self.rules.digest().map(ToString::to_string);
        if let Some(suppressed) = self.other_rules_throttle.pass() {
            let held = held.as_deref().unwrap_or("none");
            tracing::warn!(
                asked,
                held,
                suppressed,
                "rejected a review that requires other namespace rules"
            );
        }
        let mut answer = json_response(response::other_rules(&uid, &asked, held.as_deref()));
        // The API server reuses connections, and through a Service only a new one reaches
        // another replica. Over HTTP/2, which it does not use for Services, this header
        // is omitted.
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
        answer
    }
}

/// The API server's timeout less a tenth for the response. It is in the URL, as
/// `?timeout=5s` (Kubernetes, "Dynamic Admission Control", timeouts: 1 to 30 seconds, and
/// 10 by default).
fn api_server_timeout(uri: &Uri) -> Duration {
    let seconds = uri.query().and_then(|query| {
        let timeout = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("timeout="));
        timeout?.strip_suffix('s')?.parse().ok()
    });
    Duration::from_secs(seconds.unwrap_or(10).clamp(1, 30)).mul_f64(0.9)
}
