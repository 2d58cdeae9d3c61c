//! Waits for conditions, which it looks at again and again.

use std::time::{Duration, Instant};

/// How long a component may take to answer on a busy machine. Only a test that fails waits
/// as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// The pause between two looks at what this process knows.
const PAUSE: Duration = Duration::from_millis(25);
/// The pause between two commands that look, each of which takes processor time.
const PAUSE_OF_COMMANDS: Duration = Duration::from_millis(500);

/// Waits until `condition` is true, and fails with `otherwise` if it never is.
pub fn await_condition(
    what: &str,
    mut condition: impl FnMut() -> bool,
    otherwise: impl Fn() -> String,
) {
    poll(
        what,
        (PATIENCE, PAUSE),
        || condition().then_some(()),
        otherwise,
    );
}

/// Waits until `condition`, which runs a command, gives a value, for `patience` at most,
/// and fails with `otherwise` if it never does.
pub fn await_value<T>(
    what: &str,
    patience: Duration,
    condition: impl FnMut() -> Option<T>,
    otherwise: impl Fn() -> String,
) -> T {
    poll(what, (patience, PAUSE_OF_COMMANDS), condition, otherwise)
}

fn poll<T>(
    what: &str,
    (patience, pause): (Duration, Duration),
    mut condition: impl FnMut() -> Option<T>,
    otherwise: impl Fn() -> String,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            start.elapsed() < patience,
            "not in {patience:?}: {what}\n{}",
            otherwise()
        );
        // What is waited for are files and what commands print: nothing announces them.
        std::thread::sleep(pause);
    }
}
