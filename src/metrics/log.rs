//! The log, and the audit log: whether they can be written.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// What a scrape shows of the log and the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFigures {
    /// Whether records cannot be written now.
    pub is_failing: bool,
    /// The memory of records that wait to be written, in bytes.
    pub queued_bytes: usize,
    /// Records written.
    pub records: u64,
    /// Writes of records that failed.
    pub write_errors: u64,
    /// Lines of the log, not records, that were dropped.
    pub dropped_lines: u64,
}

/// Reads the figures.
type ReadFigures = Arc<dyn Fn() -> LogFigures + Send + Sync>;

/// Registers the metrics, whose figures `read` returns.
pub(super) fn register(
    registry: &mut Registry,
    read: impl Fn() -> LogFigures + Send + Sync + 'static,
) {
    let read: ReadFigures = Arc::new(read);
    let metric = |value| LogMetric {
        value,
        read: Arc::clone(&read),
    };
    registry.register(
        "audit_log_failing",
        "1 while records cannot be written, and reviews are shed",
        metric(Value::Gauge(|figures| u64::from(figures.is_failing))),
    );
    registry.register(
        "audit_log_queue_bytes",
        "Memory of records that wait to be written, with their answers",
        metric(Value::Gauge(|figures| figures.queued_bytes as u64)),
    );
    registry.register(
        "audit_log_records",
        "Records written",
        metric(Value::Counter(|figures| figures.records)),
    );
    registry.register(
        "audit_log_write_errors",
        "Writes of records that failed, and were tried again",
        metric(Value::Counter(|figures| figures.write_errors)),
    );
    registry.register(
        "log_lines_dropped",
        "Lines of the log, not records, that were dropped because nothing read it",
        metric(Value::Counter(|figures| figures.dropped_lines)),
    );
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Counter(fn(&LogFigures) -> u64),
    Gauge(fn(&LogFigures) -> u64),
}

struct LogMetric {
    value: Value,
    read: ReadFigures,
}

impl fmt::Debug for LogMetric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = &self.value;
        formatter
            .debug_struct("LogMetric")
            .field("value", value)
            .finish_non_exhaustive()
    }
}

impl EncodeMetric for LogMetric {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let figures = (self.read)();
        match self.value {
            Value::Counter(of) => encoder.encode_counter::<NoLabelSet, _, u64>(&of(&figures), None),
            Value::Gauge(of) => encoder.encode_gauge(&of(&figures)),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self.value {
            Value::Counter(_) => MetricType::Counter,
            Value::Gauge(_) => MetricType::Gauge,
        }
    }
}
