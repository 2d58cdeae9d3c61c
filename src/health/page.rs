//! The pages of a status port, whatever its checks are, as in Kubernetes' components.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::readiness::Reason;
use crate::metrics::exposition::MetricsFormat;
use admission::text::quoted;

/// The maximum number of `exclude` parameters; there are four checks at most.
const EXCLUDED: usize = 16;

/// A check's name, and why it fails.
pub(crate) type Checked = (&'static str, Result<(), Reason>);

/// It answers.
const PING: Checked = ("ping", Ok(()));

/// What the pages show.
pub(crate) trait Status: Clone + Send + Sync + 'static {
    /// The checks of `/livez`, besides that it answers: what only a restart helps with.
    fn live_checks(&self) -> Vec<Checked>;
    /// The checks of `/readyz`.
    fn checks(&self) -> Vec<Checked>;
    /// What else there is to say at `/readyz`, each in one line.
    fn notes(&self) -> Vec<String>;
    /// The metrics.
    fn exposition(&self, format: MetricsFormat) -> String;
}

/// The pages of `status`.
pub(crate) fn router<S: Status>(status: S) -> Router {
    Router::new()
        .route("/livez", get(live::<S>))
        .route("/livez/ping", get(ping))
        .route("/readyz", get(ready::<S>))
        .route("/readyz/{check}", get(ready_in_one::<S>))
        .route("/metrics", get(metrics::<S>))
        .fallback(async || {
            let text = "podseal serves its status at /livez, /readyz and /metrics\n";
            (StatusCode::NOT_FOUND, text)
        })
        .with_state(status)
}

/// A restart does not help a podseal that waits for the API server or the kubelet, so these
/// are no checks.
async fn live<S: Status>(State(status): State<S>, RawQuery(query): RawQuery) -> Response {
    let mut checks = vec![PING];
    checks.extend(status.live_checks());
    report("livez", query, &checks, Vec::new())
}

async fn ping(RawQuery(query): RawQuery) -> Response {
    report("livez", query, &[PING], Vec::new())
}

async fn ready<S: Status>(State(status): State<S>, RawQuery(query): RawQuery) -> Response {
    report("readyz", query, &status.checks(), status.notes())
}

async fn ready_in_one<S: Status>(State(status): State<S>, Path(name): Path<String>) -> Response {
    let checks = status.checks();
    match checks.iter().find(|(known, _)| *known == name) {
        None => {
            let names: Vec<_> = checks.iter().map(|(known, _)| *known).collect();
            let names = names.join(", ");
            let text = format!("unknown check; the checks are {names}\n");
            (StatusCode::NOT_FOUND, text).into_response()
        }
        Some((_, Ok(()))) => "ok".into_response(),
        Some((_, Err(reason))) => {
            let text = format!("failed: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics<S: Status>(State(status): State<S>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = MetricsFormat::accepted(accept.unwrap_or_default());
    let text = status.exposition(format);
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

/// The response of a page of checks, with `notes` that are not checks.
///
/// A failure is 503, not 500 as in Kubernetes' components: it is a temporary state, and
/// proxies and monitoring treat 503 as such. The kubelet treats both codes alike.
fn report(page: &str, query: Option<String>, checks: &[Checked], notes: Vec<String>) -> Response {
    let query = query.unwrap_or_default();
    let query = Query::parse(&query);
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
    for note in notes {
        lines.push_str(&format!("[!]{note}\n"));
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
