//! Limits log lines that any client can cause, so that they do not fill the log or hide
//! other lines.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The minimum time between lines.
const EVERY: Duration = Duration::from_secs(5);

/// Allows one line in five seconds, and counts the others.
#[derive(Debug)]
pub struct LogThrottle {
    start: Instant,
    /// When the next line is allowed, in milliseconds since the start.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl Default for LogThrottle {
    fn default() -> LogThrottle {
        LogThrottle {
            start: Instant::now(),
            next: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }
}

impl LogThrottle {
    /// If a line is allowed now, returns how many were suppressed since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(self.start.elapsed())
    }

    fn pass_at(&self, time: Duration) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (millis(time), self.next.load(Ordering::Relaxed));
        let later = millis(time + EVERY);
        let order = Ordering::Relaxed;
        let is_first = || {
            self.next
                .compare_exchange(next, later, order, order)
                .is_ok()
        };
        if now >= next && is_first() {
            return Some(self.suppressed.swap(0, order));
        }
        self.suppressed.fetch_add(1, order);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_while_tells_how_many_it_stands_for() {
        let seldom = LogThrottle::default();
        let times = [0, 1, 4, 5, 6, 20].map(Duration::from_secs);
        let passed = times.map(|time| seldom.pass_at(time));
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
