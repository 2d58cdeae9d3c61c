//! The routes: for each webhook one, and one with the namespace rules that the replica
//! must have loaded.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, any, post};
use axum::{Extension, Router};

use super::review::{ReviewHandler, answer};
use crate::fairness::caller::Caller;
use crate::live_config::digest::RulesDigest;
use admission::decision::record::Webhook;

/// The webhooks' routes.
pub fn router(handler: ReviewHandler) -> Router {
    Router::new()
        .route("/mutate", review(Webhook::Mutate))
        .route("/validate", review(Webhook::Validate))
        .route("/mutate/{rules}", review_by_rules(Webhook::Mutate))
        .route("/validate/{rules}", review_by_rules(Webhook::Validate))
        .method_not_allowed_fallback(async |State(handler): State<Arc<ReviewHandler>>| {
            handler.bad_requests.no_such_method()
        })
        .fallback(async |State(handler): State<Arc<ReviewHandler>>| {
            handler.bad_requests.no_such_path()
        })
        .with_state(Arc::new(handler))
}

/// The handler of a webhook's own path.
fn review(webhook: Webhook) -> MethodRouter<Arc<ReviewHandler>> {
    post(
        async move |State(handler): State<Arc<ReviewHandler>>,
                    Extension(caller): Extension<Arc<Caller>>,
                    uri: Uri,
                    body: Body| {
            answer(&handler, webhook, None, &caller, &uri, body).await
        },
    )
}

/// The handler of a webhook's paths whose last segment must be the digest of namespace
/// rules.
fn review_by_rules(webhook: Webhook) -> MethodRouter<Arc<ReviewHandler>> {
    any(
        async move |State(handler): State<Arc<ReviewHandler>>,
                    Extension(caller): Extension<Arc<Caller>>,
                    method: Method,
                    uri: Uri,
                    body: Body| {
            let segment = uri.path().rsplit('/').next().unwrap_or_default();
            let Some(rules) = RulesDigest::from_segment(segment) else {
                return handler.bad_requests.no_such_path();
            };
            if method != Method::POST {
                return handler.bad_requests.no_such_method();
            }
            answer(&handler, webhook, Some(&rules), &caller, &uri, body).await
        },
    )
}
