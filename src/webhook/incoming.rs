//! A review that arrives: who sent it, by which path, and until when it is waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Uri;

use crate::fairness::caller::Caller;
use crate::namespaces::source::CalledBy;
use admission::decision::record::Webhook;

/// A review, besides its body.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) webhook: Webhook,
    pub(super) called_by: CalledBy,
    pub(super) caller: Arc<Caller>,
    /// When the API server stops waiting.
    pub(super) deadline: Instant,
}

/// The API server's timeout less a tenth for the response. It is in the URL, as
/// `?timeout=5s` (Kubernetes, "Dynamic Admission Control", timeouts: 1 to 30 seconds, and
/// 10 by default).
pub(super) fn api_server_timeout(uri: &Uri) -> Duration {
    let seconds = uri.query().and_then(|query| {
        let timeout = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("timeout="));
        timeout?.strip_suffix('s')?.parse().ok()
    });
    Duration::from_secs(seconds.unwrap_or(10).clamp(1, 30)).mul_f64(0.9)
}
