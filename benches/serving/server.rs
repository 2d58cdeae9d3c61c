//! A process that serves, and what the kernel says it used.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{ChildStderr, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use procfs::process::Process;
use serde::Serialize;
use serde_json::Value;
use support::tether::Tethered;

/// How long a process may take to say what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that serves.
pub(crate) struct Server {
    process: Tethered,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    /// The same of probes; a no-op has none.
    pub(crate) status_address: Option<String>,
}

/// What a process has in memory, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// All of it: what `kubectl top` and the kubelet's eviction come close to.
    pub(crate) resident: u64,
    /// The part that is no file: the program itself is one, and can be read
    /// again.
    pub(crate) anonymous: u64,
}

impl Server {
    /// Starts `command`, and waits until it says where it listens.
    ///
    /// Its standard error is a pipe that is read at once, as a container
    /// runtime reads it.
    pub(crate) fn start(command: &Command) -> Server {
        let (process, stderr) = Tethered::piped(command);
        let (sender, events) = channel();
        std::thread::spawn(move || drain(stderr, &sender));
        let serving = await_event(&events, "serving");
        let text = |key: &str| serving[key].as_str().map(str::to_owned);
        Server {
            process,
            address: text("address").expect("it tells its address"),
            status_address: text("status_address"),
        }
    }

    /// Waits until podseal says that it is ready.
    ///
    /// Asks every millisecond, as nothing else tells from outside: what the
    /// event in the log says is what podseal itself thinks.
    pub(crate) fn await_ready(&self) {
        let address = self.status_address.as_ref().expect("podseal has probes");
        let start = Instant::now();
        while !is_ready(address).unwrap_or(false) {
            assert!(start.elapsed() < PATIENCE, "podseal does not become ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The CPU time it has used, in user space and in the kernel for it.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc().stat().expect("the process lives");
        let ticks = (stat.utime + stat.stime) as f64;
        Duration::from_secs_f64(ticks / procfs::ticks_per_second() as f64)
    }

    /// What it has in memory.
    pub(crate) fn memory(&self) -> Memory {
        let status = self.proc().status().expect("the process lives");
        let bytes = |kib: Option<u64>| kib.expect("the kernel counts it") * 1024;
        Memory {
            resident: bytes(status.vmrss),
            anonymous: bytes(status.rssanon),
        }
    }

    fn proc(&self) -> Process {
        let pid = i32::try_from(self.process.pid).expect("a pid is small");
        Process::new(pid).expect("the process lives")
    }
}

/// Waits for the event whose message this is, past those before it.
fn await_event(events: &Receiver<Value>, message: &str) -> Value {
    loop {
        let event = events.recv_timeout(PATIENCE);
        let event = event.unwrap_or_else(|_| panic!("no event \"{message}\""));
        if event["message"] == message {
            return event;
        }
    }
}

fn is_ready(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: podseal\r\nconnection: close\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    Ok(status.starts_with("HTTP/1.1 200"))
}

/// Reads the log to its end. A record is passed over unread: there are many,
/// and whoever serves would wait for us.
fn drain(stderr: ChildStderr, events: &Sender<Value>) {
    let mut log = BufReader::with_capacity(64 * 1024, stderr);
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if !line.starts_with(b"{\"schema\"") {
            let text = String::from_utf8_lossy(&line).into_owned();
            let event = serde_json::from_slice(&line).unwrap_or(Value::String(text));
            // Nobody waits for another event once the process is measured.
            let _ = events.send(event);
        }
        line.clear();
    }
}
