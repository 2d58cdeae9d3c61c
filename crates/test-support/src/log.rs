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
