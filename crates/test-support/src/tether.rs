//! Child processes that end with the test run, however it ends.
//!
//! A `Drop` does not run when a test binary is killed, nor for a `static`. So each
//! process runs under a small shell that holds the read end of a pipe: when this
//! process ends, in whatever way, the pipe closes, and the shell ends its child and
//! removes its folder.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Duration;

const KEEPER: &str = r#"
dir=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & pid=$!
trap '' INT TERM
echo $pid
exec >/dev/null 2>&1
( read -r _ <&3; kill -KILL $pid ) & watcher=$!
wait $pid; code=$?
kill -KILL $watcher
if [ -n "$dir" ]; then rm -rf "$dir"; fi
exit $code
"#;

/// What the kernel counts CPU time in: the same on every architecture since Linux 2.6
/// (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// A process that lives no longer than this value, or than the test run.
pub struct Tethered {
    keeper: Child,
    tether: Option<ChildStdin>,
    /// The process's own id.
    pub pid: u32,
}

impl Tethered {
    /// Starts `command`, with both its outputs in the file `log`, and removes
    /// `folder`, if any, after its end.
    pub fn start(command: &Command, log: &Path, folder: Option<&Path>) -> Tethered {
        let log = std::fs::File::create(log).expect("a log file can be created");
        Tethered::spawn(command, Stdio::from(log), folder).0
    }

    /// Starts `command`, and hands over its standard error.
    pub fn piped(command: &Command) -> (Tethered, ChildStderr) {
        let (tethered, stderr) = Tethered::spawn(command, Stdio::piped(), None);
        (tethered, stderr.expect("standard error is piped"))
    }

    fn spawn(
        command: &Command,
        stderr: Stdio,
        folder: Option<&Path>,
    ) -> (Tethered, Option<ChildStderr>) {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]);
        keeper.arg(folder.unwrap_or(Path::new("")));
        keeper.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => keeper.env(key, value),
                None => keeper.env_remove(key),
            };
        }
        keeper
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut keeper = keeper.spawn().expect("sh can be started");
        let tether = keeper.stdin.take();
        let stderr = keeper.stderr.take();
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("standard output is piped");
        BufReader::new(stdout.take(64))
            .read_line(&mut line)
            .expect("the keeper tells the pid");
        let pid = line.trim().parse().expect("a pid");
        (
            Tethered {
                keeper,
                tether,
                pid,
            },
            stderr,
        )
    }

    /// Waits for the process to end by itself, and returns its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.keeper
            .wait()
            .expect("the keeper can be waited for")
            .code()
    }

    /// Whether the process has ended, and with which exit code.
    pub fn has_ended(&mut self) -> Option<Option<i32>> {
        let ended = self.keeper.try_wait();
        let ended = ended.expect("the keeper can be waited for");
        ended.map(|status| status.code())
    }

    /// How much memory the process has resident, in bytes (`VmRSS` of proc(5)).
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most that it ever had (`VmHWM`).
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// The CPU time that it has used, in user and kernel mode.
    pub fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = std::fs::read_to_string(path).expect("the process runs");
        // The name in parentheses may contain anything.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks
            .map(|field| field.parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.expect(field).trim().parse().expect("a number");
        kib * 1024
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid.to_string())
            .status();
        assert!(
            status.expect("kill can be started").success(),
            "kill -{name} {}",
            self.pid
        );
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        drop(self.tether.take());
        let _ = self.keeper.wait();
    }
}
