//! The pauses between rounds.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// The pause after a round without changes: several changes often arrive together.
pub(super) const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// After this time without a busy round, the pauses are short again.
const CALM: Duration = Duration::from_secs(20);

/// Pauses that double while rounds fail or write: the API server may have problems, or
/// another client may undo the changes.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    busy: u32,
    last: Option<Instant>,
}

impl Backoff {
    /// The pause after a round.
    pub(super) fn after(&mut self, busy: bool) -> Duration {
        if self.last.is_some_and(|last| last.elapsed() > CALM) {
            self.busy = 0;
        }
        if busy {
            self.busy += 1;
            self.last = Some(Instant::now());
        }
        let doubled = SHORTEST.saturating_mul(1 << self.busy.saturating_sub(1).min(16));
        jittered(doubled.min(LONGEST))
    }
}

/// A random time between half of `wait` and `wait`, so that replicas do not act
/// simultaneously. The standard library's hasher has a random seed.
pub(super) fn jittered(wait: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(0) >> 40).expect("24 bits");
    wait / 2 + (wait / 2).mul_f64(f64::from(random) / f64::from(1 << 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_while_rounds_are_busy_and_differ_between_replicas() {
        let mut pace = Backoff::default();
        assert!(pace.after(false) <= SHORTEST);
        let pauses: Vec<_> = (0..40).map(|_| pace.after(true)).collect();
        assert!(pauses[0] <= SHORTEST);
        assert!(
            pauses[20..]
                .iter()
                .all(|pause| (LONGEST / 2..=LONGEST).contains(pause))
        );
        assert!(pauses[20..].iter().any(|pause| *pause != pauses[20]));
    }
}
