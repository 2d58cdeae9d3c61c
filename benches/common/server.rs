//! A server process, and the resources that it uses.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{ChildStderr, Command};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use procfs::process::Process;
use serde::Serialize;
use serde_json::Value;
use support::tether::Tethered;

use super::pinning::{self, Side};

/// The timeout of waiting for a process.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server process.
pub(crate) struct Server {
    process: Tethered,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    /// The address of probes; a no-op has none.
    pub(crate) status_address: Option<String>,
}

/// The memory of a process in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// All resident memory, similar to `kubectl top` and the kubelet's eviction.
    pub(crate) resident: u64,
    /// The part that is not backed by files, such as the program itself.
    pub(crate) anonymous: u64,
}

/// Milliseconds from a start to ready: the median of so many.
pub(crate) fn time_to_ready(starts: usize, start: impl Fn() -> Server) -> f64 {
    let one = |_| {
        let begun = Instant::now();
        start().await_ready();
        begun.elapsed().as_secs_f64() * 1e3
    };
    let mut times: Vec<f64> = (0..starts).map(one).collect();
    times.sort_by(f64::total_cmp);
    times[starts / 2]
}

impl Server {
    /// Starts `command`, and waits until it logs its address.
    ///
    /// Its standard error is a pipe that is read immediately, as by a container runtime.
    pub(crate) fn start(command: &Command) -> Server {
        Server::serving(Tethered::piped(command))
    }

    /// Like `start`, on the server's processor.
    pub(crate) fn start_pinned(command: &Command) -> Server {
        Server::serving(pinning::on(Side::Server, || Tethered::piped(command)))
    }

    fn serving((process, stderr): (Tethered, ChildStderr)) -> Server {
        let (sender, events) = channel();
        pinning::on(Side::Load, || {
            std::thread::spawn(move || drain(stderr, &sender))
        });
        let serving = await_event(&events, "serving");
        let text = |key: &str| serving[key].as_str().map(str::to_owned);
        Server {
            process,
            address: text("address").expect("it tells its address"),
            status_address: text("status_address"),
        }
    }

    /// Waits until podseal is ready.
    ///
    /// Polls every millisecond, to measure from outside instead of relying on podseal's own
    /// log.
    pub(crate) fn await_ready(&self) {
        let address = self.status_address.as_ref().expect("podseal has probes");
        let start = Instant::now();
        while !is_ready(address).unwrap_or(false) {
            assert!(start.elapsed() < PATIENCE, "podseal does not become ready");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The CPU time that it has used, in user and kernel mode.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// Its memory.
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

/// Waits for the event with this message.
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

/// Reads the log to its end. Records are skipped without parsing: there are many, and a
/// slow reader would delay the server.
fn drain(stderr: ChildStderr, events: &Sender<Value>) {
    let mut log = BufReader::with_capacity(64 * 1024, stderr);
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if !line.starts_with(b"{\"schema\"") {
            let text = String::from_utf8_lossy(&line).into_owned();
            let event = serde_json::from_slice(&line).unwrap_or(Value::String(text));
            // An error means that no more events are expected.
            let _ = events.send(event);
        }
        line.clear();
    }
}
