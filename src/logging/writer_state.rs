//! Whether a writer can write, as others see it without waiting for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

/// How long one write may take. Pipes are read and disks write within milliseconds, and a
/// review that waits longer is better tried again elsewhere.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The state of a writer. Only its thread changes it, except for what is dropped.
#[derive(Debug)]
pub(super) struct WriterState {
    /// Where it writes, for its own lines.
    name: String,
    start: Instant,
    /// When the write under way began, in milliseconds since the start, and one more; 0
    /// if there is none.
    since: AtomicU64,
    has_failed: AtomicBool,
    /// Whether the reader's end of a pipe is closed.
    is_closed: AtomicBool,
    error: ArcSwapOption<String>,
    awaited: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
    /// Of `dropped`, how many were logged.
    reported: AtomicU64,
}

/// What a writer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterFigures {
    /// Lines written that somebody waited for.
    pub awaited: u64,
    /// Writes that failed.
    pub errors: u64,
    /// Lines dropped that nobody waited for.
    pub dropped: u64,
}

impl WriterState {
    pub(super) fn new(name: String) -> WriterState {
        WriterState {
            name,
            start: Instant::now(),
            since: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            error: ArcSwapOption::empty(),
            awaited: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            reported: AtomicU64::new(0),
        }
    }

    /// How long the write under way has taken.
    fn blocked(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self
                .start
                .elapsed()
                .saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) || self.blocked() > PATIENCE
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(super) fn problem(&self) -> Option<String> {
        if let Some(error) = &*self.error.load() {
            return Some(format!("cannot write to {}: {error}", self.name));
        }
        let blocked = self.blocked();
        (blocked > PATIENCE).then(|| {
            let seconds = blocked.as_secs();
            format!("a write to {} has taken {seconds}s", self.name)
        })
    }

    pub(super) fn figures(&self) -> WriterFigures {
        WriterFigures {
            awaited: self.awaited.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// A write begins.
    pub(super) fn begin(&self) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(since + 1, Ordering::Relaxed);
    }

    /// Something was written, and there is more.
    pub(super) fn progress(&self) {
        let blocked = self.blocked();
        if self.is_stalled() {
            let (name, blocked) = (&self.name, format!("{:.1}s", blocked.as_secs_f64()));
            self.error.store(None);
            self.has_failed.store(false, Ordering::Relaxed);
            self.is_closed.store(false, Ordering::Relaxed);
            tracing::warn!(blocked, "writing to {name} again");
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        let more = dropped - self.reported.swap(dropped, Ordering::Relaxed);
        if more > 0 {
            tracing::warn!(dropped = more, "dropped log lines, which nobody read");
        }
        self.begin();
    }

    /// The write is complete.
    pub(super) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// The write failed, and will be tried again.
    pub(super) fn failed(&self, error: &io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
        self.is_closed.store(is_closed, Ordering::Relaxed);
        let error = error.to_string();
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            let name = &self.name;
            tracing::error!(error, "cannot write to {name}; trying again until it works");
        }
        self.error.store(Some(Arc::new(error)));
    }

    /// A line was written that somebody waits for.
    pub(super) fn written(&self) {
        self.awaited.fetch_add(1, Ordering::Relaxed);
    }

    /// A line was dropped.
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
