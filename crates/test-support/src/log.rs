//! The log of a process, as it writes it.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

use crate::wait::PATIENCE;

/// What a process has written to its standard error.
#[derive(Default)]
pub(crate) struct ProcessLog {
    /// The events, and whether the process has closed its end.
    state: Mutex<(Vec<Value>, bool)>,
    lines: Mutex<Vec<String>>,
    more: Condvar,
    /// Whether nothing is read now.
    is_stopped: Mutex<bool>,
    goes_on: Condvar,
}

/// While this lives, a log is not read.
pub struct Unread(Arc<ProcessLog>);

impl Drop for Unread {
    fn drop(&mut self) {
        *self.0.is_stopped.lock().expect("no holder panics") = false;
        self.0.goes_on.notify_all();
    }
}

impl ProcessLog {
    /// Reads it from now on.
    pub(crate) fn of(stderr: ChildStderr) -> Arc<ProcessLog> {
        let log = Arc::new(ProcessLog::default());
        let reader = Arc::clone(&log);
        std::thread::spawn(move || reader.follow(stderr));
        log
    }

    fn follow(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            self.await_reading();
            let mut lines = self.lines.lock().expect("no reader panics");
            lines.push(line.clone());
            drop(lines);
            let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.state.lock().expect("no waiter panics").0.push(event);
            self.more.notify_all();
        }
        self.state.lock().expect("no waiter panics").1 = true;
        self.more.notify_all();
    }

    /// Reads nothing more until the result is dropped, but for one line.
    pub(crate) fn stop_reading(self: &Arc<Self>) -> Unread {
        *self.is_stopped.lock().expect("no holder panics") = true;
        Unread(Arc::clone(self))
    }

    fn await_reading(&self) {
        let is_stopped = self.is_stopped.lock().expect("no holder panics");
        let waited = self.goes_on.wait_while(is_stopped, |stopped| *stopped);
        drop(waited.expect("no holder panics"));
    }

    /// Waits until the process has closed its end, and everything is read.
    pub(crate) fn await_end(&self) {
        let state = self.state.lock().expect("the reader does not panic");
        let (state, _) = self
            .more
            .wait_timeout_while(state, PATIENCE, |state| !state.1)
            .expect("the reader does not panic");
        assert!(state.1, "the log is still open");
    }

    /// Waits for the first event that `wanted` selects.
    pub(crate) fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let state = self.state.lock().expect("the reader does not panic");
        let missing = |state: &mut (Vec<Value>, bool)| !state.1 && !state.0.iter().any(&wanted);
        let (state, _) = self
            .more
            .wait_timeout_while(state, PATIENCE, missing)
            .expect("the reader does not panic");
        let found = state.0.iter().find(|event| wanted(event));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no such event in the log: {:#?}", state.0))
    }

    /// Whether there is an event that `wanted` selects, by now.
    pub(crate) fn has_logged(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        let state = self.state.lock().expect("the reader does not panic");
        state.0.iter().any(wanted)
    }

    /// The lines so far, as they were written.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock();
        lines.expect("the reader does not panic").clone()
    }
}
