//! HTTP: the two webhooks, and what is said to everything that is not a review.

#![allow(
    clippy::result_large_err,
    reason = "either way it is the answer, which is moved once"
)]

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Extension, Router};
use futures::poll;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use admission::{record, response};

use super::audit_log;
use super::body::{self, Held, Unread};
use crate::fairness::budget::{Budget, Taken, only_part};
use crate::fairness::caller::Caller;
use crate::live_config::current::Rules;
use crate::live_config::digest::RulesDigest;
use crate::logging::throttle::Seldom;
use crate::metrics::Metrics;
use crate::metrics::requests::{Operation, Refused, Shed};
use crate::namespaces::source::Namespaces;
use crate::namespaces::unavailable::Unavailable;
use crate::server::limits::Limits;
use admission::judge::judge;
use admission::policy::Namespace;
use admission::request::Request;
use admission::review::{Decision, correct, correction_size};
use admission::size::Size;
use admission::text::bounded;

/// The longest body of a review that is decided where it was read, in well under
/// a millisecond for most and some of them for any.
const LARGE: usize = 128 * 1024;

/// What looking at a large review takes, by the length of its body: the parser's
/// own buffer.
const LEAST: usize = 4;

/// How many large reviews are worked on at once: half of the processors, so that
/// the other half is left for everything else.
fn turns() -> usize {
    let processors = std::thread::available_parallelism();
    processors.map_or(1, |count| count.get().div_ceil(2))
}

/// What answering a review takes.
pub struct Webhook {
    rules: Rules,
    namespaces: Namespaces,
    /// How long a body may take.
    body: Duration,
    /// Bytes for bodies.
    memory: Budget,
    /// The most of them for one review.
    most: usize,
    /// Places for requests, whatever they wait for.
    requests: Budget,
    /// Places for reviews that are being decided.
    reviews: Budget,
    /// Places for large reviews that are worked on.
    turns: Arc<Semaphore>,
    large: Seldom,
    refused: Seldom,
    shed: Seldom,
    other_rules: Seldom,
    metrics: Arc<Metrics>,
}

impl Webhook {
    /// What holds for all namespaces, the namespaces, the bounds, and where it is
    /// counted.
    pub fn new(
        rules: Rules,
        namespaces: Namespaces,
        limits: &Limits,
        metrics: Arc<Metrics>,
    ) -> Webhook {
        Webhook {
            rules,
            namespaces,
            body: limits.body,
            memory: Budget::new(limits.memory),
            most: only_part(limits.memory),
            requests: Budget::new(limits.requests),
            reviews: Budget::new(limits.reviews),
            turns: Arc::new(Semaphore::new(turns())),
            large: Seldom::default(),
            refused: Seldom::default(),
            shed: Seldom::default(),
            other_rules: Seldom::default(),
            metrics,
        }
    }
}

/// The webhooks' routes.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .route("/mutate/{rules}", any(mutate_by_rules))
        .route("/validate/{rules}", any(validate_by_rules))
        .method_not_allowed_fallback(async |State(webhook): State<Arc<Webhook>>| {
            webhook.no_such_method()
        })
        .fallback(async |State(webhook): State<Arc<Webhook>>| webhook.no_such_path())
        .with_state(Arc::new(webhook))
}

async fn mutate(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    uri: Uri,
    body: Body,
) -> Response {
    answer(&webhook, record::Webhook::Mutate, None, &caller, &uri, body).await
}

async fn validate(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    uri: Uri,
    body: Body,
) -> Response {
    let validate = record::Webhook::Validate;
    answer(&webhook, validate, None, &caller, &uri, body).await
}

async fn mutate_by_rules(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response {
    let mutate = record::Webhook::Mutate;
    answer_by_rules(&webhook, mutate, &method, &caller, &uri, body).await
}

async fn validate_by_rules(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response {
    let validate = record::Webhook::Validate;
    answer_by_rules(&webhook, validate, &method, &caller, &uri, body).await
}

/// Answers where the path's last segment should name default rules.
async fn answer_by_rules(
    this: &Arc<Webhook>,
    webhook: record::Webhook,
    method: &Method,
    caller: &Arc<Caller>,
    uri: &Uri,
    body: Body,
) -> Response {
    let segment = uri.path().rsplit('/').next().unwrap_or_default();
    let Some(rules) = RulesDigest::from_segment(segment) else {
        return this.no_such_path();
    };
    if method != Method::POST {
        return this.no_such_method();
    }
    answer(this, webhook, Some(&rules), caller, uri, body).await
}

/// Answers a review; with `rules` only if this replica holds exactly these.
async fn answer(
    this: &Arc<Webhook>,
    webhook: record::Webhook,
    rules: Option<&RulesDigest>,
    caller: &Arc<Caller>,
    uri: &Uri,
    body: Body,
) -> Response {
    let _in_flight = this.metrics.requests.begin();
    let Some(_request) = caller.requests.take(&this.requests) else {
        return this.shed(Shed::Concurrency, None);
    };
    let deadline = Instant::now() + patience(uri);
    let time = this.body.min(deadline - Instant::now());
    let memory = || this.memory.share(&caller.memory);
    let body = match body::read(body, memory, time).await {
        Ok(body) => body,
        Err(error) => return this.unread(error),
    };
    if let Some(rules) = rules.filter(|rules| this.rules.digest() != Some(rules)) {
        return this.other_rules(rules, &body.bytes);
    }
    let answered = match body.bytes.len() {
        0..=LARGE => this.answer_here(webhook, caller, body, deadline).await,
        _ => answer_apart(this, webhook, caller, body, deadline).await,
    };
    answered.unwrap_or_else(|response| response)
}

/// Answers a large review without taking a worker of the runtime for it: probes
/// and other reviews are answered meanwhile. Few large ones are worked on at
/// once, and the others wait their turn; none holds it while it waits for its
/// namespace.
async fn answer_apart(
    this: &Arc<Webhook>,
    webhook: record::Webhook,
    caller: &Arc<Caller>,
    mut body: Held,
    deadline: Instant,
) -> Result<Response, Response> {
    // Said first: whatever becomes of it, somebody sent this.
    if let Some(suppressed) = this.large.pass() {
        let (uid, bytes) = (body::uid(&body.bytes), body.bytes.len());
        let uid = uid.as_deref().map(bounded).unwrap_or_default();
        tracing::info!(?webhook, %uid, bytes, suppressed, "reading a large review");
    }
    let least = Size {
        bytes: LEAST * body.bytes.len(),
        excess: None,
    };
    let Some(_place) = caller.reviews.take(&this.reviews) else {
        return Err(this.shed(Shed::Concurrency, body::uid(&body.bytes)));
    };
    let start = Instant::now();
    let turn = this.turn(&body, deadline).await?;
    this.make_room(&mut body, least)?;
    // It goes on without its connection, and counts for the caller until its end.
    let held_by = Arc::clone(caller);
    let looked = tokio::task::spawn_blocking(move || {
        let _held_by = held_by;
        let size = Size::of(&body.bytes);
        let namespace = Request::without_pods(&body.bytes)
            .map(|request| request.namespace.as_deref().map(str::to_owned))
            .map_err(|error| bounded(&error.to_string()).into_owned());
        drop(turn);
        (body, size, namespace)
    });
    let (mut body, size, name) = looked.await.expect("counting does not panic");
    let name = name.map_err(|error| this.no_review(&error))?;
    body.memory.shrink_to(body.bytes.capacity());
    let name = this.named(name)?;
    this.check_room(&body, size)?;
    let namespace = this.namespace(&name, caller, deadline).await;
    let turn = this.turn(&body, deadline).await?;
    this.make_room(&mut body, size)?;
    let this = Arc::clone(this);
    let held_by = Arc::clone(caller);
    let decided = tokio::task::spawn_blocking(move || {
        let _held_by = held_by;
        let Held { bytes, mut memory } = body;
        let request = this.read(&bytes, size);
        let answered = request
            .and_then(|request| this.decide(webhook, request, &namespace, start, &mut memory));
        drop(turn);
        answered
    });
    decided.await.expect("a decision does not panic")
}

impl Webhook {
    async fn answer_here(
        &self,
        webhook: record::Webhook,
        caller: &Caller,
        mut body: Held,
        deadline: Instant,
    ) -> Result<Response, Response> {
        let size = Size::of(&body.bytes);
        self.make_room(&mut body, size)?;
        let Some(_place) = caller.reviews.take(&self.reviews) else {
            return Err(self.shed(Shed::Concurrency, body::uid(&body.bytes)));
        };
        let start = Instant::now();
        let request = self.read(&body.bytes, size)?;
        let name = self.named(request.namespace.as_deref().map(str::to_owned))?;
        let mut namespace = pin!(self.namespace(&name, caller, deadline));
        if let Poll::Ready(namespace) = poll!(&mut namespace) {
            return self.decide(webhook, request, &namespace, start, &mut body.memory);
        }
        // While it waits it holds its body only, so that many can wait.
        drop(request);
        body.memory.shrink_to(body.bytes.capacity());
        let namespace = namespace.await;
        self.make_room(&mut body, size)?;
        let Held { bytes, mut memory } = body;
        let request = self.read(&bytes, size)?;
        self.decide(webhook, request, &namespace, start, &mut memory)
    }

    /// Whether one review may take as much as one of this size needs, and how many
    /// bytes that is with its body.
    fn check_room(&self, body: &Held, size: Size) -> Result<usize, Response> {
        let bytes = body.bytes.capacity() + size.bytes;
        if bytes <= self.most {
            return Ok(bytes);
        }
        let text = "the review holds more than --max-body-memory has room for";
        let uid = body::uid(&body.bytes);
        let code = StatusCode::PAYLOAD_TOO_LARGE;
        Err(self.refuse(Refused::TooLarge, code, text, uid))
    }

    /// Takes the memory that a review of this size needs beside its body.
    fn make_room(&self, body: &mut Held, size: Size) -> Result<(), Response> {
        let bytes = self.check_room(body, size)?;
        if !body.memory.grow_to(bytes) {
            return Err(self.shed(Shed::Memory, body::uid(&body.bytes)));
        }
        Ok(())
    }

    /// One of the few places for large reviews, once there is one.
    async fn turn(&self, body: &Held, deadline: Instant) -> Result<OwnedSemaphorePermit, Response> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(turn) => Ok(turn.expect("it is never closed")),
            Err(_) => Err(self.shed(Shed::Concurrency, body::uid(&body.bytes))),
        }
    }

    fn read<'b>(&self, bytes: &'b [u8], size: Size) -> Result<Request<'b>, Response> {
        Request::of_size(bytes, size).map_err(|error| self.no_review(&error.to_string()))
    }

    /// The name of the request's namespace, which has to be there.
    fn named<N: Deref<Target = str>>(&self, name: Option<N>) -> Result<N, Response> {
        name.filter(|name| !name.is_empty()).ok_or_else(|| {
            self.no_review(
                "the AdmissionReview has no request.namespace; podseal reviews pods only",
            )
        })
    }

    async fn namespace(
        &self,
        name: &str,
        caller: &Caller,
        deadline: Instant,
    ) -> Result<Arc<Namespace>, Unavailable> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.namespaces.get(name, caller.peer, left).await
    }

    /// Decides, with a record.
    fn decide(
        &self,
        webhook: record::Webhook,
        request: Request<'_>,
        namespace: &Result<Arc<Namespace>, Unavailable>,
        start: Instant,
        memory: &mut Taken,
    ) -> Result<Response, Response> {
        let profiles = self.rules.profiles();
        let settings = self.rules.settings(&profiles);
        let corrections = correction_size(&request, &settings);
        if !memory.grow_to(memory.amount() + corrections) {
            return Err(self.shed(Shed::Memory, Some(request.uid.to_string())));
        }
        let operation = Operation::of(&request.operation);
        let about = record::About::of(&request);
        let decision = match namespace {
            Ok(namespace) => match webhook {
                record::Webhook::Mutate => correct(request, namespace, &settings),
                record::Webhook::Validate => judge(request, namespace, &settings),
            },
            Err(unavailable) => Decision::unavailable(&request, &unavailable.to_string()),
        };
        let answer = response::encode(about.uid(), &decision);
        audit_log::log(webhook, &about, &decision, start.elapsed());
        let requests = &self.metrics.requests;
        // Later than the record's own: writing it is part of what a client waits for.
        requests.decided(webhook, operation, &decision, start.elapsed());
        Ok(json(answer))
    }

    fn unread(&self, error: Unread) -> Response {
        let text = error.to_string();
        let (why, code) = match error {
            Unread::NoMemory { uid } => return self.shed(Shed::Memory, uid),
            Unread::TooLarge => (Refused::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
            Unread::Truncated => (Refused::Truncated, StatusCode::BAD_REQUEST),
            Unread::TooSlow => (Refused::BodyTimeout, StatusCode::REQUEST_TIMEOUT),
        };
        self.refuse(why, code, &text, None)
    }

    /// The answer to a review by rules that this replica does not hold.
    fn other_rules(&self, asked: &RulesDigest, review: &[u8]) -> Response {
        // The API server writes the uid first. It is looked for elsewhere only where
        // that takes no time.
        let anywhere = || {
            let request = Request::without_pods(review).ok()?;
            Some(request.uid.to_string())
        };
        let is_small = review.len() <= LARGE;
        let Some(uid) = body::uid(review).or_else(|| is_small.then(anywhere)?) else {
            return self.no_review("the AdmissionReview has no request.uid");
        };
        self.metrics.requests.shed(Shed::Rules);
        let asked = asked.to_string();
        let held = self.rules.digest().map(ToString::to_string);
        if let Some(suppressed) = self.other_rules.pass() {
            let held = held.as_deref().unwrap_or("none");
            tracing::warn!(
                asked,
                held,
                suppressed,
                "turned a review away that is for other default rules"
            );
        }
        let mut answer = json(response::other_rules(&uid, &asked, held.as_deref()));
        // The API server keeps a connection for its next calls, and through a
        // Service only a new one reaches another replica. Over HTTP/2, which it
        // does not speak to Services, the header is left out.
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
        answer
    }

    fn no_such_method(&self) -> Response {
        self.metrics.requests.refused(Refused::Method);
        let text = "podseal answers POST, with an AdmissionReview\n";
        (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
    }

    fn no_such_path(&self) -> Response {
        self.metrics.requests.refused(Refused::Path);
        let text = "podseal answers POST /mutate and POST /validate\n";
        (StatusCode::NOT_FOUND, text).into_response()
    }

    fn no_review(&self, error: &str) -> Response {
        self.refuse(Refused::Malformed, StatusCode::BAD_REQUEST, error, None)
    }

    /// What a parser says quotes what it met, which a stranger wrote.
    fn refuse(&self, why: Refused, code: StatusCode, error: &str, uid: Option<String>) -> Response {
        self.metrics.requests.refused(why);
        let error = &*bounded(error);
        if let Some(suppressed) = self.refused.pass() {
            let uid = uid.as_deref().map(bounded);
            let uid = uid.as_deref();
            tracing::warn!(
                error,
                uid,
                suppressed,
                "refused a request that is no review"
            );
        }
        (code, format!("{error}\n")).into_response()
    }

    fn shed(&self, why: Shed, uid: Option<String>) -> Response {
        self.metrics.requests.shed(why);
        let what = match why {
            Shed::Memory => "too many bytes of reviews at once",
            Shed::Concurrency => "too many reviews at once",
            Shed::Rules => "other default rules",
        };
        if let Some(suppressed) = self.shed.pass() {
            tracing::warn!(why = what, suppressed, "shed a review");
        }
        match uid {
            Some(uid) => json(response::shed(&uid, what)),
            None => {
                let text = format!("podseal is busy: {what}\n");
                let code = StatusCode::TOO_MANY_REQUESTS;
                (code, [(RETRY_AFTER, "1")], text).into_response()
            }
        }
    }
}

fn json(answer: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

/// How long the API server waits for us, less a tenth for the way back: it says
/// so in the URL, as `?timeout=5s` (Kubernetes, "Dynamic Admission Control",
/// timeouts: 1 to 30 seconds, and 10 where nothing is set).
fn patience(uri: &Uri) -> Duration {
    let seconds = uri.query().and_then(|query| {
        let timeout = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("timeout="));
        timeout?.strip_suffix('s')?.parse().ok()
    });
    Duration::from_secs(seconds.unwrap_or(10).clamp(1, 30)).mul_f64(0.9)
}
