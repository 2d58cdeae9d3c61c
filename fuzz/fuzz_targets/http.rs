//! From the body of an HTTP request to the bytes of the response, as `podseal serve`
//! answers it: routes, body, decision and record.
//!
//! Two bytes select the webhook and how the body arrives; the rest is the body. So the
//! corpus is that of `review`.

#![no_main]

use std::io::{self, Write};
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock, Mutex};

use admission::decision::Decision;
use admission::decision::record::Webhook;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::request::Request;
use admission::response;
use admission::validate::validate;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::{Extension, Router};
use cases::job_log::strange;
use futures::stream;
use libfuzzer_sys::fuzz_target;
use podseal::audit_log::log::{AuditLog, RecordFormat};
use podseal::fairness::caller::Caller;
use podseal::fairness::peer::Peer;
use podseal::live_config::current::LiveConfig;
use podseal::logging::writer::LogWriter;
use podseal::metrics::Metrics;
use podseal::namespaces::file::NamespaceFile;
use podseal::namespaces::source::Namespaces;
use podseal::namespaces::unavailable::Unavailable;
use podseal::webhook::limits::ReviewLimits;
use podseal::webhook::review::ReviewHandler;
use podseal::webhook::routes::router;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

const NAMESPACES: &str = "
kind: Namespace
metadata: {name: ci, labels: {podseal.io/profile: rootless}}
---
kind: Namespace
metadata: {name: strict, labels: {podseal.io/profile: userns, podseal.io/level: restricted}}
---
kind: Namespace
metadata: {name: watched, labels: {podseal.io/profile: root-fuse, podseal.io/mode: audit}}
---
kind: Namespace
metadata: {name: plain}
";

/// The longest message about a request that is no review, in bytes.
const LONGEST: usize = 1024;

/// What is written as records.
#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<u8>>>);

impl Write for Records {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Site {
    runtime: Runtime,
    router: Router,
    namespaces: Arc<NamespaceFile>,
    records: Records,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let namespaces = Arc::new(NamespaceFile::from_text(NAMESPACES).expect("namespaces"));
    let records = Records::default();
    let rules = LiveConfig::built_in();
    let metrics = Metrics::new(&rules.profiles(), || None);
    let writer = LogWriter::start("the records", records.clone());
    let handler = ReviewHandler::new(
        rules,
        Namespaces::File(Arc::clone(&namespaces)),
        AuditLog::new(writer, RecordFormat::Json),
        &ReviewLimits::default(),
        Arc::new(metrics),
        None,
    );
    let caller = Caller::new(Peer::of(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    Site {
        runtime: Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime"),
        router: router(handler).layer(Extension(Arc::new(caller))),
        namespaces,
        records,
    }
});

impl Site {
    /// The code and the body of the response.
    fn post(&self, path: &str, body: Body, length: Option<usize>) -> (u16, Bytes) {
        let mut request = axum::http::Request::post(path).header(CONTENT_TYPE, "application/json");
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        let request = request.body(body).expect("a request");
        self.runtime.block_on(async {
            let answer = self.router.clone().call(request).await.expect("an answer");
            let code = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), usize::MAX).await;
            (code, body.expect("a whole body"))
        })
    }

    /// What is answered, decided without HTTP. None if the body is no review of a namespace.
    fn expected(&self, webhook: Webhook, body: &[u8]) -> Option<Vec<u8>> {
        let request = Request::from_review(body).ok()?;
        let name = request.namespace.as_deref().filter(|name| !name.is_empty());
        let namespace = self.namespaces.get(name?);
        let uid = request.uid.to_string();
        let decision = match (&namespace, webhook) {
            (Some(namespace), Webhook::Mutate) => mutate(request, namespace, &Settings::built_in()),
            (Some(namespace), Webhook::Validate) => {
                validate(request, namespace, &Settings::built_in())
            }
            (None, _) => Decision::unavailable(&request, &Unavailable::NotInFile.to_string()),
        };
        Some(response::encode(&uid, &decision))
    }
}

/// The body in parts of this size, as a connection delivers it.
fn in_parts(body: &[u8], size: usize) -> Body {
    let parts: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, io::Error>)))
}

fuzz_target!(|bytes: &[u8]| {
    let [how, size, body @ ..] = bytes else {
        return;
    };
    let webhook = Webhook::ALL[usize::from(how % 2)];
    let path = ["/mutate?timeout=10s", "/validate"][usize::from(how % 2)];
    let length = (how & 2 != 0).then_some(body.len());
    let (code, answer) = SITE.post(path, in_parts(body, 1 << (size % 14)), length);
    let records = mem::take(&mut *SITE.records.0.lock().expect("no writer panics"));
    let records = String::from_utf8(records).expect("records are text");
    match SITE.expected(webhook, body) {
        Some(expected) => {
            assert_eq!(code, 200);
            assert_eq!(answer, expected, "{}", String::from_utf8_lossy(&answer));
            // It was written before the answer was sent.
            let record: Value = serde_json::from_str(&records).expect("one record");
            assert_eq!(record["webhook"], webhook.name());
        }
        None => {
            assert_eq!(code, 400, "{}", String::from_utf8_lossy(&answer));
            assert_eq!(records, "");
            let message = std::str::from_utf8(&answer).expect("a text");
            assert!(message.len() <= LONGEST, "{message}");
            assert_eq!(strange(message.trim_end()), None, "{message}");
        }
    }
});
