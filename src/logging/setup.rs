//! The log: records as they are, everything else by `tracing-subscriber`.
//!
//! A record is JSON already when it gets here, with lists that `tracing` has no
//! fields for. So it has a layer of its own, which writes it as one line.

use std::fmt;
use std::io::{IsTerminal, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use admission::decision::record::TARGET;

/// Starts logging to standard error: as JSON, or as text for a person.
pub fn start(json: bool, level: LevelFilter) {
    // kube logs every failed request, as an error and in full, and so would let any
    // client that sends reviews fill the log. `namespaces` logs what matters of it.
    let kube = match level >= LevelFilter::DEBUG {
        true => level,
        false => LevelFilter::OFF,
    };
    // Its watcher repeats what the API server refuses, as a structure; the code
    // that watches logs it as a sentence.
    let watcher = match level >= LevelFilter::DEBUG {
        true => level,
        false => LevelFilter::ERROR,
    };
    // A decision is a record and no ordinary event: it is logged at every level.
    let filter = Targets::new()
        .with_default(level)
        .with_target("kube_client", kube)
        .with_target("kube_runtime", watcher)
        .with_target(TARGET, level.max(LevelFilter::INFO));
    let remark = filter_fn(|metadata| metadata.target() != TARGET);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(AuditRecordLayer { json });
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if json {
        let log = log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false);
        registry.with(log.with_filter(remark)).init();
    } else {
        let colour = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        registry
            .with(log.with_ansi(colour).with_filter(remark))
            .init();
    }
}

struct AuditRecordLayer {
    json: bool,
}

impl<S: Subscriber> Layer<S> for AuditRecordLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut record = RecordField(String::new());
        event.record(&mut record);
        let mut line = if self.json {
            record.0
        } else {
            text_line(&record.0)
        };
        line.push('\n');
        // An error has nowhere to go when standard error is closed.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

struct RecordField(String);

impl Visit for RecordField {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "record" {
            // With its line's end.
            self.0.reserve_exact(value.len() + 1);
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// A record in a line for a person.
fn text_line(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let changes = record["changes"].as_array();
    let changes: Vec<_> = changes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // A denial names in its sentence what it is about.
    let told = match text("decision") == "deny" || changes.is_empty() {
        true => text("message").to_owned(),
        false => format!("{}: {}", text("message"), changes.join("; ")),
    };
    // A namespace without a profile has no level, and its mode says nothing.
    let policy = match text("profile") {
        "" => "no profile".to_owned(),
        profile => format!("{profile}, {}, {}", text("level"), text("mode")),
    };
    format!(
        "{} {} {} {}/{} [{policy}] {told}",
        text("time"),
        text("webhook"),
        text("decision"),
        text("namespace"),
        record["pod"]
            .as_str()
            .filter(|pod| !pod.is_empty())
            .unwrap_or(text("generate_name")),
    )
}
