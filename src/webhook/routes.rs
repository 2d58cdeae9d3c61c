//! The routes: for each webhook one, and one with the namespace rules that the replica
//! must have loaded.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{any, post};
use axum::{Extension, Router};

use super::review::{ReviewHandler, answer};
use crate::fairness::caller::Caller;
use crate::live_config::digest::RulesDigest;
use admission::decision::record::Webhook;

/// The webhooks' routes.
pub fn router(handler: ReviewHandler) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .route("/mutate/{rules}", any(mutate_by_rules))
        .route("/validate/{rules}", any(validate_by_rules))
        .method_not_allowed_fallback(async |State(handler): State<Arc<ReviewHandler>>| {
            handler.bad_requests.no_such_method()
        })
        .fallback(async |State(handler): State<Arc<ReviewHandler>>| {
            handler.bad_requests.no_such_path()
        })
        .with_state(Arc::new(handler))
}

async fn mutate(
    State(handler): State<Arc<ReviewHandler>>,
    Extension(caller): Extension<Arc<Caller>>,
    uri: Uri,
    body: Body,
) -> Response {
    answer(&handler, Webhook::Mutate, None, &caller, &uri, body).await
}

async fn validate(
    State(handler): State<Arc<ReviewHandler>>,
    Extension(caller): Extension<Arc<Caller>>,
    uri: Uri,
    body: Body,
) -> Response {
    let validate = Webhook::Validate;
    answer(&handler, validate, None, &caller, &uri, body).await
}

async fn mutate_by_rules(
    State(handler): State<Arc<ReviewHandler>>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response {
    let mutate = Webhook::Mutate;
    answer_by_rules(&handler, mutate, &method, &caller, &uri, body).await
}

async fn validate_by_rules(
    State(handler): State<Arc<ReviewHandler>>,
    Extension(caller): Extension<Arc<Caller>>,
    method: Method,
    uri: Uri,
    body: Body,
) -> Response {
    let validate = Webhook::Validate;
    answer_by_rules(&handler, validate, &method, &caller, &uri, body).await
}

/// Answers a request whose last path segment must be the digest of namespace rules.
async fn answer_by_rules(
    handler: &Arc<ReviewHandler>,
    webhook: Webhook,
    method: &Method,
    caller: &Arc<Caller>,
    uri: &Uri,
    body: Body,
) -> Response {
    let segment = uri.path().rsplit('/').next().unwrap_or_default();
    let Some(rules) = RulesDigest::from_segment(segment) else {
        return handler.bad_requests.no_such_path();
    };
    if method != Method::POST {
        return handler.bad_requests.no_such_method();
    }
    answer(handler, webhook, Some(&rules), caller, uri, body).await
}
