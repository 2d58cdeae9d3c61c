//! The log: records unchanged, everything else by `tracing-subscriber`.
//!
//! A record is encoded JSON, with lists, which `tracing` does not support as fields. So
//! it has its own layer, which writes it as one line.

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

/// Starts logging to standard error, as JSON or as text.
pub fn start(json: bool, level: LevelFilter) {
    // kube logs every failed request in full, as an error. Any client that sends reviews
    // could fill the log with these. `namespaces` logs the relevant part.
    let kube = match level >= LevelFilter::DEBUG {
        true => level,
        false => LevelFilter::OFF,
    };
    // kube's watcher logs denials of the API server as a structure. The code that
    // watches logs them as text.
    let watcher = match level >= LevelFilter::DEBUG {
        true => level,
        false => LevelFilter::ERROR,
    };
    // Records are logged at every level.
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
        // Without standard error, an error cannot be reported.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

struct RecordField(String);

impl Visit for RecordField {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "record" {
            // One more byte for the line break.
            self.0.reserve_exact(value.len() + 1);
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// A record as a line of text.
fn text_line(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let changes = record["changes"].as_array();
    let changes: Vec<_> = changes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    // The message of a denial already contains the changes that matter.
    let told = match text("decision") == "deny" || changes.is_empty() {
        true => text("message").to_owned(),
        false => format!("{}: {}", text("message"), changes.join("; ")),
    };
    // Without a profile, level and mode have no effect.
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
