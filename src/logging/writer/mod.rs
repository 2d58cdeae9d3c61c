//! A thread that writes lines, so that nobody else waits for their reader.
//!
//! A pipe that nobody reads, or a full disk, blocks the thread that writes to it. Here this
//! is a thread of its own, behind a queue with a bound. It writes what waits together.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::writer_state::{WriterFigures, WriterState};
use crate::fairness::budget::{Budget, Reservation};

/// The memory of lines that nobody waits for. Those beyond are dropped.
const UNAWAITED: usize = 1 << 20;

/// How many lines are written together.
const TOGETHER: usize = 64;

/// How many bytes, since all of them wait for a slow reader to take the last. A longer line
/// is written alone.
const AT_ONCE: usize = 32 * 1024;

/// If a record follows the last ones so soon, there are many. To wait for others of few would
/// only delay them, since another program may take the processor.
const BUSY: Duration = Duration::from_micros(250);

/// How long the end of the process waits for what is queued.
const FLUSH: Duration = Duration::from_secs(3);

/// The time until a failed write is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// The same, if the reader was only too slow for a writer that does not block.
const RETRY_FULL_PIPE: Duration = Duration::from_millis(10);

/// Sends lines to the thread that writes them. Clones share it.
#[derive(Debug, Clone)]
pub struct LogWriter {
    queue: mpsc::UnboundedSender<Entry>,
    unawaited: Arc<Budget>,
    state: Arc<WriterState>,
}

#[derive(Debug)]
enum Entry {
    /// A line that nobody waits for.
    Line { line: Vec<u8>, _memory: Reservation },
    /// A line that somebody waits for until `deadline`, and not longer.
    Awaited {
        line: Vec<u8>,
        memory: Reservation,
        deadline: Instant,
        written: oneshot::Sender<()>,
    },
    /// Everything before this was written.
    Flush(blocking::Sender<()>),
}

impl LogWriter {
    /// Starts the thread, which writes to `sink`. `name` is for its own lines, such as
    /// "standard error".
    pub fn start(name: impl Into<String>, sink: impl Write + Send + 'static) -> LogWriter {
        let (queue, waiting) = mpsc::unbounded_channel();
        let state = Arc::new(WriterState::new(name.into()));
        let thread = WriterThread {
            sink,
            state: Arc::clone(&state),
        };
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || thread.run(waiting))
            .expect("the first threads of a process can be started");
        LogWriter {
            queue,
            unawaited: Arc::new(Budget::new(UNAWAITED)),
            state,
        }
    }

    /// Writes a line that ends with a line break, or drops it if too many wait.
    pub fn line(&self, line: Vec<u8>) {
        match self.unawaited.reserve(line.capacity()) {
            Some(memory) => self.send(Entry::Line {
                line,
                _memory: memory,
            }),
            None => self.state.dropped(),
        }
    }

    /// Writes a line that ends with a line break. The result is sent once it is written.
    /// It is not written after `deadline`: who waits has to give up then.
    pub fn awaited(
        &self,
        line: Vec<u8>,
        memory: Reservation,
        deadline: Instant,
    ) -> oneshot::Receiver<()> {
        let (written, receiver) = oneshot::channel();
        self.send(Entry::Awaited {
            line,
            memory,
            deadline,
            written,
        });
        receiver
    }

    /// Waits until everything so far is written, but not for a reader that does not read.
    pub fn flush(&self) {
        let (sender, flushed) = blocking::channel();
        self.send(Entry::Flush(sender));
        let _ = flushed.recv_timeout(FLUSH);
    }

    /// Whether lines cannot be written now: a write failed, or its reader is too slow.
    pub fn is_stalled(&self) -> bool {
        self.state.is_stalled()
    }

    /// Whether nobody will read what is written: the reader has closed its end of the pipe.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    /// Why lines cannot be written now, if they cannot.
    pub fn problem(&self) -> Option<String> {
        self.state.problem()
    }

    /// What was counted.
    pub fn figures(&self) -> WriterFigures {
        self.state.figures()
    }

    fn send(&self, entry: Entry) {
        // The thread ends after the last sender.
        let _ = self.queue.send(entry);
    }
}

struct WriterThread<S> {
    sink: S,
    state: Arc<WriterState>,
}

impl<S: Write> WriterThread<S> {
    fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Entry>) {
        let mut entries = Vec::with_capacity(TOGETHER);
        let mut lines = Vec::new();
        let mut written_at = None;
        while waiting.blocking_recv_many(&mut entries, 1) > 0 {
            // Where processors are few, the first record of many wakes this thread in the
            // place of the one that decides on the others. That goes on first, so they are
            // written together: else each would cost two switches between the threads.
            if written_at.is_some_and(|at: Instant| at.elapsed() < BUSY) {
                std::thread::yield_now();
            }
            take_more(&mut waiting, &mut entries);
            let now = Instant::now();
            // Nobody was or will be told that these are written.
            entries.retain(|entry| !entry.is_too_late(now));
            while !entries.is_empty() {
                let mut count = 0;
                for entry in &entries {
                    if count > 0 && lines.len() + entry.line().len() > AT_ONCE {
                        break;
                    }
                    lines.extend_from_slice(entry.line());
                    count += 1;
                }
                self.write(&lines);
                lines.clear();
                entries.drain(..count).for_each(|entry| self.written(entry));
            }
            written_at = Some(Instant::now());
        }
    }

    /// Writes `lines`, however often it takes: half a line cannot be taken back.
    fn write(&mut self, mut lines: &[u8]) {
        self.state.begin();
        while !lines.is_empty() {
            match self.sink.write(lines) {
                Ok(0) => self.failed(&ErrorKind::WriteZero.into()),
                Ok(written) => {
                    lines = &lines[written..];
                    self.state.progress();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_FULL_PIPE);
                }
                Err(error) => self.failed(&error),
            }
        }
        self.state.end();
    }

    fn failed(&self, error: &std::io::Error) {
        self.state.failed(error);
        std::thread::sleep(RETRY);
    }

    fn written(&self, entry: Entry) {
        match entry {
            Entry::Line { .. } => {}
            Entry::Awaited {
                memory, written, ..
            } => {
                self.state.written();
                // Who is told finds it free.
                drop(memory);
                // Who disconnects does not wait any more.
                let _ = written.send(());
            }
            Entry::Flush(sender) => {
                let _ = sender.send(());
            }
        }
    }
}

/// Takes what waits by now, up to [`TOGETHER`].
fn take_more(waiting: &mut mpsc::UnboundedReceiver<Entry>, entries: &mut Vec<Entry>) {
    while entries.len() < TOGETHER
        && let Ok(entry) = waiting.try_recv()
    {
        entries.push(entry);
    }
}

impl Entry {
    fn line(&self) -> &[u8] {
        match self {
            Entry::Line { line, .. } | Entry::Awaited { line, .. } => line,
            Entry::Flush(_) => &[],
        }
    }

    fn is_too_late(&self, now: Instant) -> bool {
        matches!(self, Entry::Awaited { deadline, .. } if *deadline <= now)
    }
}

#[cfg(test)]
mod tests;
