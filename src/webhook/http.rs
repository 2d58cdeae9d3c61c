//! HTTP: the two webhooks, and what is said to everything that is not a review.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Extension, Router};

use super::body::{self, Unread};
use super::budget::Budget;
use super::caller::Caller;
use super::limits::Limits;
use super::{record, response};
use crate::admission::judge::judge;
use crate::admission::request::Request;
use crate::admission::review::{Decision, correct};
use crate::admission::text::bounded;
use crate::cluster::namespaces::Namespaces;
use crate::metrics::Metrics;
use crate::metrics::requests::{Operation, Refused, Shed};
use crate::rules::current::Rules;
use crate::rules::digest::RulesDigest;
use crate::seldom::Seldom;

/// What answering a review takes.
pub struct Webhook {
    rules: Rules,
    namespaces: Namespaces,
    /// How long a body may take.
    body: Duration,
    /// Bytes for bodies.
    memory: Budget,
    /// All of them.
    most: usize,
    /// Places for requests, whatever they wait for.
    requests: Budget,
    /// Places for reviews that are being decided.
    reviews: Budget,
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
            most: limits.memory,
            requests: Budget::new(limits.requests),
            reviews: Budget::new(limits.reviews),
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
    let mutate = record::Webhook::Mutate;
    webhook.answer(mutate, None, &caller, &uri, body).await
}

async fn validate(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    uri: Uri,
    body: Body,
) -> Response {
    let validate = record::Webhook::Validate;
    webhook.answer(validate, None, &caller, &uri, body).await
}

async fn mutate_by_rules(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response {
    let mutate = record::Webhook::Mutate;
    webhook
        .answer_by_rules(mutate, &method, &caller, &uri, body)
        .await
}

async fn validate_by_rules(
    State(webhook): State<Arc<Webhook>>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response {
    let validate = record::Webhook::Validate;
    webhook
        .answer_by_rules(validate, &method, &caller, &uri, body)
        .await
}

impl Webhook {
    /// Answers where the path's last segment should name default rules.
    async fn answer_by_rules(
        &self,
        webhook: record::Webhook,
        method: &Method,
        caller: &Caller,
        uri: &Uri,
        body: Body,
    ) -> Response {
        let segment = uri.path().rsplit('/').next().unwrap_or_default();
        let Some(rules) = RulesDigest::from_segment(segment) else {
            return self.no_such_path();
        };
        if method != Method::POST {
            return self.no_such_method();
        }
        self.answer(webhook, Some(&rules), caller, uri, body).await
    }

    /// Answers a review; with `rules` only if this replica holds exactly these.
    async fn answer(
        &self,
        webhook: record::Webhook,
        rules: Option<&RulesDigest>,
        caller: &Caller,
        uri: &Uri,
        body: Body,
    ) -> Response {
        let requests = &self.metrics.requests;
        let _in_flight = requests.begin();
        let Some(_request) = caller.requests.take(&self.requests) else {
            return self.shed(Shed::Concurrency, None);
        };
        let deadline = Instant::now() + patience(uri);
        let time = self.body.min(deadline - Instant::now());
        let mut body = match body::read(body, &self.memory, time).await {
            Ok(body) => body,
            Err(error) => return self.unread(error),
        };
        if let Some(rules) = rules.filter(|rules| self.rules.digest() != Some(rules)) {
            return self.other_rules(rules, &body.bytes);
        }
        let unfolded = body.unfolded();
        if unfolded > self.most {
            let text = "the review holds more objects than --max-body-memory has room for";
            return self.refuse(Refused::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        if !body.hold(unfolded) {
            return self.shed(Shed::Memory, body::uid(&body.bytes));
        }
        let Some(_place) = caller.reviews.take(&self.reviews) else {
            return self.shed(Shed::Concurrency, body::uid(&body.bytes));
        };
        let start = Instant::now();
        let request = match Request::from_review(&body.bytes) {
            Ok(request) => request,
            Err(error) => return self.no_review(&error.to_string()),
        };
        let Some(name) = request.namespace.clone().filter(|name| !name.is_empty()) else {
            return self.no_review(
                "the AdmissionReview has no request.namespace; podseal reviews pods only",
            );
        };
        let operation = Operation::of(&request.operation);
        let about = record::About::of(&request);
        let left = deadline.saturating_duration_since(Instant::now());
        let namespace = self.namespaces.get(&name, caller.peer, left).await;
        let profiles = self.rules.profiles();
        let settings = self.rules.settings(&profiles);
        let decision = match &namespace {
            Ok(namespace) => match webhook {
                record::Webhook::Mutate => correct(request, namespace, &settings),
                record::Webhook::Validate => judge(request, namespace, &settings),
            },
            Err(unavailable) => Decision::unavailable(&request, &unavailable.to_string()),
        };
        let answer = response::encode(about.uid(), &decision);
        record::log(webhook, &about, &decision, start.elapsed());
        // Later than the record's own: writing it is part of what a client waits for.
        requests.decided(webhook, operation, &decision, start.elapsed());
        json(answer)
    }

    fn unread(&self, error: Unread) -> Response {
        let text = error.to_string();
        let (why, code) = match error {
            Unread::NoMemory { uid } => return self.shed(Shed::Memory, uid),
            Unread::TooLarge => (Refused::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
            Unread::Truncated => (Refused::Truncated, StatusCode::BAD_REQUEST),
            Unread::TooSlow => (Refused::BodyTimeout, StatusCode::REQUEST_TIMEOUT),
        };
        self.refuse(why, code, &text)
    }

    /// The answer to a review by rules that this replica does not hold.
    fn other_rules(&self, asked: &RulesDigest, review: &[u8]) -> Response {
        let Some(uid) = body::uid(review) else {
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
        self.refuse(Refused::Malformed, StatusCode::BAD_REQUEST, error)
    }

    /// What a parser says quotes what it met, which a stranger wrote.
    fn refuse(&self, why: Refused, code: StatusCode, error: &str) -> Response {
        self.metrics.requests.refused(why);
        let error = &*bounded(error);
        if let Some(suppressed) = self.refused.pass() {
            tracing::warn!(error, suppressed, "refused a request that is no review");
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
