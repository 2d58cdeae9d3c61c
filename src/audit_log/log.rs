//! Queues records, and tells when each was written.
//!
//! An answer is sent only after its record was written, so a crash loses no record of an
//! answered review.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::text;
use crate::fairness::budget::Budget;
use crate::logging::writer::LogWriter;
use crate::logging::writer_state::PATIENCE;
use crate::metrics::log::LogFigures;

/// The memory of records that wait, in bytes: a thousand usual ones.
const QUEUE: usize = 4 << 20;

/// The audit log. Clones share it.
#[derive(Debug, Clone)]
pub struct AuditLog {
    writer: LogWriter,
    format: RecordFormat,
    queue: Arc<Budget>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// A record is one JSON object.
    Json,
    /// A record is a line of text.
    Text,
}

/// The record is not written, or not in time. Its review is not answered.
#[derive(Debug, PartialEq, Eq)]
pub struct NotWritten;

/// A record that waits to be written.
#[derive(Debug)]
pub struct QueuedRecord {
    written: oneshot::Receiver<()>,
    deadline: Instant,
}

impl AuditLog {
    /// An audit log that `writer` writes.
    pub fn new(writer: LogWriter, format: RecordFormat) -> AuditLog {
        AuditLog {
            writer,
            format,
            queue: Arc::new(Budget::new(QUEUE)),
        }
    }

    /// Whether a record would not be written in time. This costs little, and is asked before
    /// a review is read.
    pub fn is_stalled(&self) -> bool {
        self.writer.is_stalled()
    }

    /// Queues a record of the caller that has the total `by_caller` in the queue.
    ///
    /// # Errors
    /// The queue is full.
    pub fn append(
        &self,
        by_caller: &Arc<AtomicUsize>,
        record: String,
        deadline: Instant,
    ) -> Result<QueuedRecord, NotWritten> {
        let mut line = match self.format {
            RecordFormat::Json => record,
            RecordFormat::Text => text::line(&record),
        };
        line.push('\n');
        let line = line.into_bytes();
        let mut memory = self.queue.reserve_for_caller(by_caller);
        if !memory.grow_to(line.capacity()) {
            return Err(NotWritten);
        }
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let written = self.writer.awaited(line, memory, deadline);
        Ok(QueuedRecord { written, deadline })
    }

    /// Waits until everything so far is written, but not for a reader that does not read.
    pub fn flush(&self) {
        self.writer.flush();
    }

    /// Whether nobody will read the records of this process.
    pub fn is_closed(&self) -> bool {
        self.writer.is_closed()
    }

    /// Why records cannot be written now, if they cannot.
    pub fn problem(&self) -> Option<String> {
        self.writer.problem()
    }

    /// The figures of this and of the `log`, for a scrape.
    pub fn figures(&self, log: &LogWriter) -> LogFigures {
        let writer = self.writer.figures();
        LogFigures {
            is_failing: self.is_stalled(),
            queued_bytes: QUEUE.saturating_sub(self.queue.available()),
            records: writer.awaited,
            write_errors: writer.errors,
            dropped_lines: log.figures().dropped,
        }
    }
}

impl QueuedRecord {
    /// Waits until the record is written.
    ///
    /// # Errors
    /// It was not written in time.
    pub async fn written(self) -> Result<(), NotWritten> {
        match timeout_at(self.deadline.into(), self.written).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(NotWritten),
        }
    }
}
