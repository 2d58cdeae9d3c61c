//! Load shedding: rejects requests with code 429 when podseal is busy, so that clients
//! retry.

use std::sync::Arc;

use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::json_response::json_response;
use crate::logging::throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::metrics::requests::Shed;
use admission::response;

/// What podseal has too much of.
#[derive(Clone, Copy)]
pub(super) enum Overload {
    /// Reviews, or requests.
    Concurrency,
    /// Memory for them.
    Memory,
    /// Records of decisions that wait to be written.
    AuditLog,
}

/// Sheds requests, and counts and logs them.
pub(super) struct LoadShedding {
    metrics: Arc<Metrics>,
    throttle: LogThrottle,
}

impl LoadShedding {
    pub(super) fn new(metrics: Arc<Metrics>) -> LoadShedding {
        LoadShedding {
            metrics,
            throttle: LogThrottle::default(),
        }
    }

    /// Sheds a request. With the review's `uid`, the response is an AdmissionReview;
    /// otherwise it is plain HTTP.
    pub(super) fn shed(&self, overload: Overload, uid: Option<String>) -> Response {
        let (why, what) = match overload {
            Overload::Memory => (Shed::Memory, "reviews require too much memory at once"),
            Overload::Concurrency => (Shed::Concurrency, "too many reviews at once"),
            Overload::AuditLog => (Shed::AuditLog, "its audit log cannot be written in time"),
        };
        self.metrics.requests.shed(why);
        if let Some(suppressed) = self.throttle.pass() {
            tracing::warn!(why = what, suppressed, "shed a review");
        }
        let mut answer = match uid {
            Some(uid) => json_response(response::shed(&uid, what)),
            None => {
                let text = format!("podseal is busy: {what}\n");
                let code = StatusCode::TOO_MANY_REQUESTS;
                (code, [(RETRY_AFTER, "1")], text).into_response()
            }
        };
        if matches!(overload, Overload::AuditLog) {
            // Other replicas write elsewhere, and only a new connection reaches one.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        answer
    }
}
