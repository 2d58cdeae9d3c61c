//! HTTP: the two webhooks, and what is said to everything that is not a review.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::record;
use super::response;
use crate::admission::judge::judge;
use crate::admission::policy::Settings;
use crate::admission::request::Request;
use crate::admission::review::{Decision, correct};
use crate::admission::text::bounded;
use crate::cluster::namespaces::Namespaces;
use crate::metrics::Metrics;
use crate::metrics::requests::{Operation, Refused};

/// The largest review read: an object of 3 MiB twice, and what is around it.
pub const BODY_LIMIT: usize = 7 * 1024 * 1024;
/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What answering a review takes.
#[derive(Clone)]
pub struct Webhook {
    /// What holds for all namespaces.
    pub settings: Settings<'static>,
    /// The namespaces.
    pub namespaces: Namespaces,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// The webhooks' routes.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .method_not_allowed_fallback(async |State(webhook): State<Arc<Webhook>>| {
            webhook.metrics.requests.refused(Refused::Method);
            let text = "podseal answers POST, with an AdmissionReview\n";
            (StatusCode::METHOD_NOT_ALLOWED, text)
        })
        .fallback(async |State(webhook): State<Arc<Webhook>>| {
            webhook.metrics.requests.refused(Refused::Path);
            let text = "podseal answers POST /mutate and POST /validate\n";
            (StatusCode::NOT_FOUND, text)
        })
        .with_state(Arc::new(webhook))
}

async fn mutate(State(webhook): State<Arc<Webhook>>, body: Body) -> Response {
    webhook.answer(record::Webhook::Mutate, body).await
}

async fn validate(State(webhook): State<Arc<Webhook>>, body: Body) -> Response {
    webhook.answer(record::Webhook::Validate, body).await
}

impl Webhook {
    async fn answer(&self, webhook: record::Webhook, body: Body) -> Response {
        let requests = &self.metrics.requests;
        let _in_flight = requests.begin();
        let body = match read(body).await {
            Ok(body) => body,
            Err((why, refusal)) => {
                requests.refused(why);
                return refusal;
            }
        };
        let start = Instant::now();
        let request = match Request::from_review(&body) {
            Ok(request) => request,
            Err(error) => return self.refuse(&error.to_string()),
        };
        let Some(name) = request.namespace.clone().filter(|name| !name.is_empty()) else {
            return self
                .refuse("the AdmissionReview has no request.namespace; podseal reviews pods only");
        };
        let operation = Operation::of(&request.operation);
        let about = record::About::of(&request);
        let namespace = self.namespaces.get(&name).await;
        let decision = match &namespace {
            Ok(namespace) => match webhook {
                record::Webhook::Mutate => correct(request, namespace, &self.settings),
                record::Webhook::Validate => judge(request, namespace, &self.settings),
            },
            Err(unavailable) => Decision::unavailable(&request, &unavailable.to_string()),
        };
        let answer = response::encode(about.uid(), &decision);
        record::log(webhook, &about, &decision, start.elapsed());
        // Later than the record's own: writing it is part of what a client waits for.
        requests.decided(webhook, operation, &decision, start.elapsed());
        ([(CONTENT_TYPE, "application/json")], answer).into_response()
    }

    /// What a parser says quotes what it met, which a stranger wrote.
    fn refuse(&self, error: &str) -> Response {
        self.metrics.requests.refused(Refused::Malformed);
        let error = &*bounded(error);
        tracing::warn!(error, "refused a request that is no review");
        (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
    }
}

async fn read(body: Body) -> Result<Bytes, (Refused, Response)> {
    match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_over_limit(&error) => {
            let text = format!("the body is larger than {BODY_LIMIT} bytes\n");
            let refusal = (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
            Err((Refused::TooLarge, refusal))
        }
        Ok(Err(_)) => {
            let text = "the body ended before its time\n";
            let refusal = (StatusCode::BAD_REQUEST, text).into_response();
            Err((Refused::Truncated, refusal))
        }
        Err(_) => {
            let text = "the body took too long to arrive\n";
            let refusal = (StatusCode::REQUEST_TIMEOUT, text).into_response();
            Err((Refused::BodyTimeout, refusal))
        }
    }
}

fn is_over_limit(error: &axum::Error) -> bool {
    let mut source = Some(error as &dyn std::error::Error);
    std::iter::from_fn(|| {
        let error = source?;
        source = error.source();
        Some(error)
    })
    .any(|error| error.is::<http_body_util::LengthLimitError>())
}
