//! `--follow`: a pipe until its end, or a file that grows, as `tail -F` reads it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot::{self, Receiver};

use super::container_log::PartialLines;
use super::input::{self, Reader};
use super::{Audit, print_notes, read_lines};

/// How often the end of the file is looked at. Files of logs are on file systems and
/// behind links that report no changes.
const EVERY: Duration = Duration::from_millis(200);
/// How much of a file's beginning tells it from what replaces it: a record's time and uid.
const BEGINNING: usize = 512;

/// Reads `input` on a thread of its own until it ends, or a signal comes.
pub(super) fn follow(audit: Audit, input: &str) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let audit = Arc::new(Mutex::new(audit));
    let read = runtime.block_on(async {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let end = read_on_a_thread(Arc::clone(&audit), input.to_owned());
        tokio::select! {
            read = end => read.unwrap_or(Ok(())),
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    });
    // The thread may still read, and then waits for this until the process ends.
    let mut audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
    if read.is_ok() || audit.summary.records > 0 {
        print_notes(&audit.finish()?);
    }
    read.map(|()| ExitCode::SUCCESS)
}

fn read_on_a_thread(audit: Arc<Mutex<Audit>>, input: String) -> Receiver<anyhow::Result<()>> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let each = |line: &[u8], parts: &mut PartialLines| {
            let mut audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
            audit.read(line, parts)
        };
        let read = growing(&input).and_then(|reader| read_lines(reader, &input, each));
        // After a signal, the receiver is gone.
        let _ = ended.send(read);
    });
    end
}

/// A reader that does not end where the file does. What is no regular file, such as a
/// pipe, says itself where it ends.
fn growing(input: &str) -> anyhow::Result<Reader> {
    if input == "-" {
        return input::open(input);
    }
    let mut file =
        File::open(input).with_context(|| format!("cannot open {}", input::name(input)))?;
    let metadata = file.metadata();
    if !metadata.is_ok_and(|metadata| metadata.is_file()) {
        return input::open(input);
    }
    if input::is_gzip(&mut BufReader::new(&file))? {
        let name = input::name(input);
        bail!("{name} is compressed, so it does not grow; leave out --follow");
    }
    file.rewind()?;
    Ok(Box::new(BufReader::with_capacity(
        input::BUFFER,
        GrowingFile::new(input.into(), file),
    )))
}

/// Reads a file, and what is appended to it. It never ends.
struct GrowingFile {
    path: PathBuf,
    file: File,
    position: u64,
    /// The first bytes that were read. Others stand there after a truncation, however long the
    /// file is again by then.
    beginning: Vec<u8>,
    /// The next byte is a line break: what was read before it was rotated away.
    ends_line: bool,
}

impl GrowingFile {
    fn new(path: PathBuf, file: File) -> GrowingFile {
        GrowingFile {
            path,
            file,
            position: 0,
            beginning: Vec::new(),
            ends_line: false,
        }
    }

    /// Goes to the beginning of this file if it was truncated.
    fn begin_again_if_truncated(&mut self) -> io::Result<()> {
        let mut now = [0; BEGINNING];
        let now = &mut now[..self.beginning.len()];
        let is_same = match self.file.read_exact_at(now, 0) {
            Ok(()) => now == self.beginning,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !is_same || self.file.metadata()?.len() < self.position {
            self.file.rewind()?;
            self.at_beginning();
        }
        Ok(())
    }

    /// Goes to the beginning of another file at the path.
    fn begin_again_if_rotated(&mut self) -> io::Result<()> {
        // Between the steps of a rotation there is no file.
        let Ok(file) = File::open(&self.path) else {
            return Ok(());
        };
        let (own, other) = (self.file.metadata()?, file.metadata()?);
        if (own.dev(), own.ino()) != (other.dev(), other.ino()) && self.is_at_end()? {
            self.file = file;
            self.at_beginning();
        }
        Ok(())
    }

    fn at_beginning(&mut self) {
        (self.position, self.ends_line) = (0, true);
        self.beginning.clear();
    }

    /// Whether nothing was appended before the rotation and after the last read.
    fn is_at_end(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() <= self.position)
    }
}

impl Read for GrowingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.begin_again_if_truncated()?;
            if self.ends_line && !buffer.is_empty() {
                self.ends_line = false;
                buffer[0] = b'\n';
                return Ok(1);
            }
            let length = self.file.read(buffer)?;
            if length > 0 {
                let room = BEGINNING - self.beginning.len();
                // Only what is at the beginning, as long as it is not all known.
                if self.position == self.beginning.len() as u64 {
                    self.beginning
                        .extend_from_slice(&buffer[..length.min(room)]);
                }
                self.position += length as u64;
                return Ok(length);
            }
            std::thread::sleep(EVERY);
            self.begin_again_if_rotated()?;
        }
    }
}
