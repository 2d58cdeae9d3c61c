//! Rejects requests that are not a review, or too slow or too large, with 4xx.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::logging::throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::metrics::requests::Refused;
use admission::text::bounded;

/// Rejects requests, and counts and logs them.
pub(super) struct BadRequests {
    metrics: Arc<Metrics>,
    throttle: LogThrottle,
}

impl BadRequests {
    pub(super) fn new(metrics: Arc<Metrics>) -> BadRequests {
        BadRequests {
            metrics,
            throttle: LogThrottle::default(),
        }
    }

    pub(super) fn no_such_method(&self) -> Response {
        self.metrics.requests.refused(Refused::Method);
        let text = "podseal accepts POST with an AdmissionReview\n";
        (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
    }

    pub(super) fn no_such_path(&self) -> Response {
        self.metrics.requests.refused(Refused::Path);
        let text = "podseal serves POST /mutate and POST /validate\n";
        (StatusCode::NOT_FOUND, text).into_response()
    }

    pub(super) fn no_review(&self, error: &str) -> Response {
        self.refuse(Refused::Malformed, StatusCode::BAD_REQUEST, error, None)
    }

    /// Rejects a request. This bounds and escapes `error`, because a parser's error quotes
    /// the client's text.
    pub(super) fn refuse(
        &self,
        why: Refused,
        code: StatusCode,
        error: &str,
        uid: Option<String>,
    ) -> Response {
        self.metrics.requests.refused(why);
        let error = &*bounded(error);
        if let Some(suppressed) = self.throttle.pass() {
            let uid = uid.as_deref().map(bounded);
            let uid = uid.as_deref();
            tracing::warn!(error, uid, suppressed, "rejected a request");
        }
        (code, format!("{error}\n")).into_response()
    }
}
