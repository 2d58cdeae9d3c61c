//! `--follow`: a pipe until its end, or a file that grows, as `tail -F` reads it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot::{self, Receiver};

use super::container_log::PartialLines;
use super::input::{self, Reader};
use super::{Audit, read_lines};

/// How often the end of the file is looked at. Files of logs are on file systems and
/// behind links that report no changes.
const EVERY: Duration = Duration::from_millis(200);

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
        audit.finish()?;
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
        // Nobody waits after a signal.
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
    Ok(Box::new(BufReader::new(GrowingFile::new(
        input.into(),
        file,
    ))))
}

/// Reads a file, and what is appended to it. It never ends.
struct GrowingFile {
    path: PathBuf,
    file: File,
    position: u64,
    /// The next byte is a line break: what was read before it was rotated away.
    ends_line: bool,
}

impl GrowingFile {
    fn new(path: PathBuf, file: File) -> GrowingFile {
        GrowingFile {
            path,
            file,
            position: 0,
            ends_line: false,
        }
    }

    /// Goes to the beginning of another file at the path, or of this one if it was
    /// truncated.
    fn begin_again(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        if own.len() < self.position {
            self.file.rewind()?;
            (self.position, self.ends_line) = (0, true);
            return Ok(());
        }
        // Between the steps of a rotation there is no file.
        let Ok(file) = File::open(&self.path) else {
            return Ok(());
        };
        let other = file.metadata()?;
        if (own.dev(), own.ino()) != (other.dev(), other.ino()) && self.is_at_end()? {
            self.file = file;
            (self.position, self.ends_line) = (0, true);
        }
        Ok(())
    }

    /// Whether nothing was appended before the rotation and after the last read.
    fn is_at_end(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() <= self.position)
    }
}

impl Read for GrowingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.ends_line && !buffer.is_empty() {
                self.ends_line = false;
                buffer[0] = b'\n';
                return Ok(1);
            }
            let length = self.file.read(buffer)?;
            if length > 0 {
                self.position += length as u64;
                return Ok(length);
            }
            std::thread::sleep(EVERY);
            self.begin_again()?;
        }
    }
}
