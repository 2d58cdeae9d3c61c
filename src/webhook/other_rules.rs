//! Rejects a review that requires namespace rules which this replica has not loaded.

use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;

use super::body;
use super::json_response::json_response;
use super::review::{LARGE_REVIEW, ReviewHandler};
use crate::live_config::digest::RulesDigest;
use crate::metrics::requests::Shed;
use admission::request::Request;
use admission::response;

impl ReviewHandler {
    /// The response to a review that requires rules which this replica has not loaded.
    pub(super) fn other_rules(&self, asked: &RulesDigest, review: &[u8]) -> Response {
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
