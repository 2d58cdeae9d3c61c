//! Pauses between attempts to register, and which failures to log.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// How often the same failure is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(600);

/// The attempts since the last one that lasted.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failed: u32,
    logged: Option<(String, Instant)>,
    suppressed: u64,
}

impl Attempts {
    /// The pause before the next attempt: each is twice as long, up to a bound.
    pub(super) fn pause(&mut self) -> Duration {
        let doubled = SHORTEST.saturating_mul(1 << self.failed.min(16));
        self.failed += 1;
        doubled.min(LONGEST)
    }

    /// Makes the pauses short again.
    pub(super) fn start_over(&mut self) {
        self.failed = 0;
    }

    /// Logs the failure of an attempt, if it is a new one or was last logged a while ago.
    pub(super) fn log(&mut self, failure: String) {
        if let Some(suppressed) = self.pass(&failure, Instant::now()) {
            tracing::warn!(suppressed, "cannot register with the kubelet: {failure}");
        }
    }

    /// If the failure is to be logged, how many have not been since the last line.
    fn pass(&mut self, failure: &str, now: Instant) -> Option<u64> {
        let is_logged = |(last, at): &(String, Instant)| {
            last == failure && now.duration_since(*at) < LOGGED_EVERY
        };
        if self.logged.as_ref().is_some_and(is_logged) {
            self.suppressed += 1;
            return None;
        }
        self.logged = Some((failure.to_owned(), now));
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Logs the next failure, whatever it is: the last one is over.
    pub(super) fn succeeded(&mut self) {
        self.logged = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_until_the_kubelet_is_another() {
        let mut attempts = Attempts::default();
        let pauses: Vec<_> = (0..40).map(|_| attempts.pause()).collect();
        assert_eq!(pauses[..3], [SHORTEST, SHORTEST * 2, SHORTEST * 4]);
        assert!(pauses[10..].iter().all(|pause| *pause == LONGEST));
        attempts.start_over();
        assert_eq!(attempts.pause(), SHORTEST);
    }

    #[test]
    fn the_same_failure_is_logged_once_in_ten_minutes() {
        let mut attempts = Attempts::default();
        let start = Instant::now();
        assert_eq!(attempts.pass("refused", start), Some(0));
        assert_eq!(attempts.pass("refused", start), None);
        assert_eq!(attempts.pass("refused", start), None);
        assert_eq!(attempts.pass("timed out", start), Some(2));
        assert_eq!(attempts.pass("timed out", start), None);
        let later = start + LOGGED_EVERY;
        assert_eq!(attempts.pass("timed out", later), Some(1));
        attempts.succeeded();
        assert_eq!(attempts.pass("timed out", later), Some(0));
    }
}
