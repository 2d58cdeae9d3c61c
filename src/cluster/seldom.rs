//! Lines of the log that anybody can cause.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How far apart the lines are.
const EVERY: Duration = Duration::from_secs(5);

/// Lets one line in [`EVERY`] through, and counts the others: who may send
/// reviews must not fill the log, nor hide in it what else it says.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl Seldom {
    /// Whether a line may be written at `now`; and if so, how many were
    /// suppressed since the last one.
    pub(super) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().expect("nobody panics with it");
        if state.last.is_some_and(|last| now < last + EVERY) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_tells_how_many_it_stands_for() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.pass(start), Some(0));
        assert_eq!(seldom.pass(start), None);
        assert_eq!(seldom.pass(start + EVERY / 2), None);
        assert_eq!(seldom.pass(start + EVERY), Some(2));
        assert_eq!(seldom.pass(start + EVERY * 2), Some(0));
    }
}
