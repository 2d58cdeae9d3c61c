//! The routes of the status port, as in Kubernetes' components.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::readiness::{Check, Readiness, Reason};
use crate::live_config::current::LiveConfig;
use crate::metrics::Metrics;
use crate::metrics::exposition::MetricsFormat;
use admission::text::{quoted, remark};

/// The maximum length of the profiles' error.
const PROBLEM: usize = 400;
/// The maximum number of `exclude` parameters; there are four checks.
const EXCLUDED: usize = 16;

/// The state that the pages show.
#[derive(Clone)]
pub struct HealthState {
    /// The checks.
    pub readiness: Readiness,
    /// The configuration.
    pub rules: LiveConfig,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The pages.
pub fn router(status: HealthState) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/livez/ping", get(live))
        .route("/readyz", get(ready))
        .route("/readyz/{check}", get(ready_in_one))
        .route("/metrics", get(metrics))
        .fallback(async || {
            let text = "podseal serves its status at /livez, /readyz and /metrics\n";
            (StatusCode::NOT_FOUND, text)
        })
        .with_state(status)
}

/// A process that answers is alive. There are no other checks: a restart does not help a
/// podseal that waits for the API server.
async fn live(RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    report("livez", &query, &[("ping", Ok(()))], None)
}

async fn ready(State(status): State<HealthState>, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let now = SystemTime::now();
    let checks = Check::ALL.map(|check| (check.name(), status.readiness.check(check, now)));
    report("readyz", &query, &checks, status.rules.problem())
}

async fn ready_in_one(State(status): State<HealthState>, Path(name): Path<String>) -> Response {
    let Some(check) = Check::from_name(&name) else {
        let names = Check::ALL.map(Check::name).join(", ");
        let text = format!("unknown check; the checks are {names}\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    match status.readiness.check(check, SystemTime::now()) {
        Ok(()) => "ok".into_response(),
        Err(reason) => {
            let text = format!("failed: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(status): State<HealthState>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = MetricsFormat::accepted(accept.unwrap_or_default());
    let text = status.metrics.exposition(format);
    ([(CONTENT_TYPE, format.content_type())], text).into_response()
}

#[derive(Default)]
struct Query<'q> {
    verbose: bool,
    exclude: Vec<&'q str>,
}

impl<'q> Query<'q> {
    fn parse(query: &'q str) -> Query<'q> {
        let mut read = Query::default();
        for part in query.split('&') {
            match part.split_once('=').unwrap_or((part, "")) {
                ("verbose", _) => read.verbose = true,
                ("exclude", name) if read.exclude.len() < EXCLUDED => read.exclude.push(name),
                _ => {}
            }
        }
        read
    }
}

/// The response of a page of checks.
///
/// A failure is 503, not 500 as in Kubernetes' components: it is a temporary state, and
/// proxies and monitoring treat 503 as such. The kubelet treats both codes alike.
fn report(
    page: &str,
    query: &Query<'_>,
    checks: &[(&str, Result<(), Reason>)],
    stale: Option<String>,
) -> Response {
    let mut lines = String::new();
    let mut passed = true;
    for (name, result) in checks {
        let line = match result {
            _ if query.exclude.contains(name) => format!("[+]{name} excluded: ok\n"),
            Ok(()) => format!("[+]{name} ok\n"),
            Err(reason) => {
                passed = false;
                format!("[-]{name} failed: {reason}\n")
            }
        };
        lines.push_str(&line);
    }
    // Not a check: podseal still serves, with the previous profiles.
    if let Some(problem) = stale {
        let problem = remark(&problem, PROBLEM);
        lines.push_str(&format!(
            "[!]profiles reload failed; keeping the previous profiles: {problem}\n"
        ));
    }
    let is_known = |name: &&str| checks.iter().any(|(known, _)| known == name);
    let unknown = query.exclude.iter().filter(|name| !is_known(name));
    let unknown: Vec<_> = unknown.map(|name| quoted(name)).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(",");
        lines.push_str(&format!(
            "warn: some checks cannot be excluded: no matches for {unknown}\n"
        ));
    }
    match passed {
        true if !query.verbose => "ok".into_response(),
        true => format!("{lines}{page} check passed\n").into_response(),
        false => {
            let text = format!("{lines}{page} check failed\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}
