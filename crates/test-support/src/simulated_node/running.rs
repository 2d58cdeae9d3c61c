//! The one container of a pod, as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::{Api, Trouble, name};
use super::container::command;
use super::podseal_0_2::Front;
use super::volumes::Volumes;
use crate::tether::Tethered;

/// How soon a container that has ended is started again, and how often that
/// is nobody's fault.
const BACK_OFF: Duration = Duration::from_secs(1);
const RESTARTS: u64 = 2;

/// What a process wrote, line by line.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// What a kubelet remembers of a readiness probe.
#[derive(Default)]
struct Readiness {
    /// How many have failed, one after the other.
    failures: u64,
    last: Option<Instant>,
}

/// The one container of a pod.
pub(super) struct Running {
    pub(super) pod: String,
    pub(super) volumes: Volumes,
    pub(super) process: Tethered,
    pub(super) log: Log,
    /// How long the log was when the process started.
    before: usize,
    pub(super) started: Instant,
    pub(super) restarts: u64,
    told_to_stop: Option<Instant>,
    pub(super) is_ready: bool,
    readiness: Readiness,
    /// The stand-in for 0.2.0 in front of it.
    pub(super) front: Option<Front>,
    // Last, since the process uses it.
    pub(super) folder: tempfile::TempDir,
}

impl Running {
    pub(super) fn start(api: &Api, pod: &Value) -> Result<Option<Running>, Trouble> {
        let folder = tempfile::Builder::new().prefix("podseal-pod-").tempdir();
        let folder = folder.expect("a temporary folder");
        let Some(volumes) = Volumes::of(api, pod, folder.path())? else {
            return Ok(None);
        };
        let command = command(api, pod, &volumes, folder.path())?;
        let (process, stderr) = Tethered::piped(&command);
        let log = Log::default();
        follow(stderr, &log);
        Ok(Some(Running {
            pod: name(pod).to_owned(),
            volumes,
            process,
            log,
            before: 0,
            started: Instant::now(),
            restarts: 0,
            told_to_stop: None,
            is_ready: false,
            readiness: Readiness::default(),
            front: None,
            folder,
        }))
    }

    pub(super) fn restart(
        &mut self,
        api: &Api,
        pod: &Value,
        code: Option<i32>,
    ) -> Result<(), Trouble> {
        if self.started.elapsed() < BACK_OFF {
            return Ok(());
        }
        let command = command(api, pod, &self.volumes, self.folder.path())?;
        let last = {
            let log = self.log.lock().expect("its reader does not panic");
            self.before = log.len();
            log.last().cloned().unwrap_or_default()
        };
        let (process, stderr) = Tethered::piped(&command);
        follow(stderr, &self.log);
        self.process = process;
        self.started = Instant::now();
        self.restarts += 1;
        match self.restarts > RESTARTS {
            true => Err(Trouble::Wrong(format!(
                "pod {}: ends again and again, with {code:?}: {last}",
                self.pod
            ))),
            false => Ok(()),
        }
    }

    /// Whether the pod is ready by its `probe`, which `passes` runs when it is due: one
    /// that is ready stays so until as many fail as its threshold is. One that is not,
    /// is asked more often than a kubelet would.
    pub(super) fn probe(&mut self, probe: &Value, passes: impl FnOnce(SocketAddr) -> bool) -> bool {
        if probe.is_null() {
            return true;
        }
        let number = |field: &str, default: u64| probe[field].as_u64().unwrap_or(default);
        let period = Duration::from_secs(number("periodSeconds", 10));
        let Some((_, address)) = self.addresses() else {
            return false;
        };
        let readiness = &mut self.readiness;
        if self.is_ready && readiness.last.is_some_and(|last| last.elapsed() < period) {
            return true;
        }
        readiness.last = Some(Instant::now());
        readiness.failures = match passes(address) {
            true => 0,
            false => readiness.failures + 1,
        };
        let threshold = number("failureThreshold", 3);
        readiness.failures == 0 || (self.is_ready && readiness.failures < threshold)
    }

    pub(super) fn stop(&mut self, pod: &Value) {
        let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64();
        let grace = Duration::from_secs(grace.unwrap_or(30));
        let signal = match self.told_to_stop {
            None => "-TERM",
            Some(since) if since.elapsed() > grace => "-KILL",
            Some(_) => return,
        };
        self.told_to_stop.get_or_insert_with(Instant::now);
        // It may end in this moment by itself, which is what is wanted.
        let mut kill = Command::new("kill");
        kill.arg(signal).arg(self.process.pid.to_string());
        let _ = kill.stderr(Stdio::null()).status();
    }

    /// The address at which the process serves, once it has logged it.
    pub(super) fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log.lock().expect("its reader does not panic");
        let mut events = log[self.before..]
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let serving = events.rfind(|event| event["message"] == "serving")?;
        let address = |field: &str| serving[field].as_str()?.parse().ok();
        Some((address("address")?, address("status_address")?))
    }
}

fn follow(stderr: ChildStderr, log: &Log) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            log.lock().expect("no holder panics").push(line);
        }
    });
}
