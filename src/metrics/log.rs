//! The log, and the audit log: whether they can be written.

use prometheus_client::registry::Registry;

use super::state::{self, Shown};

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

/// Registers the metrics, whose figures `read` returns.
pub(super) fn register(
    registry: &mut Registry,
    read: impl Fn() -> LogFigures + Send + Sync + 'static,
) {
    let metrics = [
        (
            "audit_log_failing",
            "1 while records cannot be written, and reviews are shed",
            Shown::Gauge(|figures: &LogFigures| u64::from(figures.is_failing)),
        ),
        (
            "audit_log_queue_bytes",
            "Memory of records that wait to be written, with their answers",
            Shown::Gauge(|figures| figures.queued_bytes as u64),
        ),
        (
            "audit_log_records",
            "Records written",
            Shown::Counter(|figures| figures.records),
        ),
        (
            "audit_log_write_errors",
            "Writes of records that failed, and were tried again",
            Shown::Counter(|figures| figures.write_errors),
        ),
        (
            "log_lines_dropped",
            "Lines of the log, not records, that were dropped because nothing read it",
            Shown::Counter(|figures| figures.dropped_lines),
        ),
    ];
    state::register(registry, read, metrics);
}
