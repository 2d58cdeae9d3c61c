//! Starts logging by `tracing-subscriber`.

use std::io::{self, IsTerminal, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::writer::LogWriter;

/// The log, to standard error. Dropping it writes what is queued.
#[derive(Debug)]
pub struct Log {
    /// Its writer.
    pub writer: LogWriter,
    /// Whether lines are JSON, or text.
    pub is_json: bool,
}

/// Starts logging to standard error, as JSON or as text.
pub fn start(is_json: bool, level: LevelFilter) -> Log {
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
    let filter = Targets::new()
        .with_default(level)
        .with_target("kube_client", kube)
        .with_target("kube_runtime", watcher);
    let writer = LogWriter::start("standard error", io::stderr());
    let lines = writer.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || Lines(lines.clone()));
    let layer = if is_json {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    } else {
        let colour = io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        layer.with_ansi(colour).boxed()
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .init();
    // The default hook writes by itself, and would wait for the reader.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or_default();
        tracing::error!(thread, "{panic}");
    }));
    Log { writer, is_json }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.writer.flush();
    }
}

/// Passes each line on to the writer.
struct Lines(LogWriter);

impl Write for Lines {
    /// `tracing-subscriber` writes a line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
