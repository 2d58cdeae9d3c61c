//! Two webhooks that decide nothing, on podseal's TLS stack: the minimal cost of any
//! webhook.
//!
//! They run this binary as separate processes, with as many threads as podseal. Neither
//! writes records, whose cost is part of podseal's.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use admission::profile::Profiles;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use podseal::certificates::identity::Identity as Serving;
use podseal::certificates::serving;
use podseal::metrics::Metrics;
use podseal::server::Server;
use podseal::server::limits::ConnectionLimits;
use podseal::webhook::body::MAX_BODY_BYTES;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::common::identity::Identity;

/// The argument that makes this binary a no-op.
pub(crate) const ARGUMENT: &str = "no-op";

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// The kind of a no-op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoOp {
    /// Reads the review, and responds with a constant.
    Constant,
    /// Parses the review into a `Value`, and responds with its uid.
    Parsing,
}

impl NoOp {
    fn word(self) -> &'static str {
        match self {
            NoOp::Constant => "constant",
            NoOp::Parsing => "parsing",
        }
    }

    /// The command that runs it.
    pub(crate) fn command(self, identity: &Identity) -> Command {
        let this = std::env::current_exe().expect("this binary has a path");
        let mut command = Command::new(this);
        command.args([ARGUMENT, self.word()]);
        command.arg(identity.certificate()).arg(identity.key());
        command
    }

    fn router(self) -> Router {
        let router = match self {
            NoOp::Constant => Router::new().route("/", post(constant)),
            NoOp::Parsing => Router::new().route("/", post(parsing)),
        };
        router.layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
    }
}

async fn constant(_: Bytes) -> Response {
    const ANSWER: &str = concat!(
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","#,
        r#""response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true}}"#
    );
    (JSON, ANSWER).into_response()
}

async fn parsing(body: Bytes) -> Response {
    let Ok(review) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    });
    (JSON, answer.to_string()).into_response()
}

/// Serves the no-op of these arguments until the process is killed.
pub(crate) fn run(arguments: &[String]) {
    let [word, certificate, key] = arguments else {
        panic!("a no-op takes its kind, a certificate and a key");
    };
    let known = [NoOp::Constant, NoOp::Parsing];
    let no_op = known.into_iter().find(|no_op| no_op.word() == word);
    let no_op = no_op.expect("constant or parsing");
    let read = |path: &String| std::fs::read(Path::new(path)).expect("the file can be read");
    let identity = Serving::from_pem(&read(certificate), &read(key)).expect("a pair");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        // In podseal's format.
        eprintln!("{}", json!({"message": "serving", "address": address}));
        let source = serving::Serving::default();
        source.present(identity);
        let metrics = Metrics::new(Profiles::built_in(), source.expiry());
        let server = Server {
            certificate: source.current(),
            limits: ConnectionLimits::default(),
            metrics: metrics.connections,
        };
        server
            .serve(listener, no_op.router(), std::future::pending())
            .await;
    });
}
