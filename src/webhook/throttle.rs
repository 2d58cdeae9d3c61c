//! Remarks that any client can cause, bounded in number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets one remark pass in an interval, and counts the others.
#[derive(Debug)]
pub struct Throttle {
    start: Instant,
    interval: Duration,
    /// When the next may pass, in milliseconds since the start.
    next: AtomicU64,
    held_back: AtomicU64,
}

impl Throttle {
    /// One remark an interval.
    pub fn new(interval: Duration) -> Throttle {
        Throttle {
            start: Instant::now(),
            interval,
            next: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether a remark may pass now; with the number of those that could not
    /// since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(self.start.elapsed())
    }

    fn pass_at(&self, time: Duration) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (millis(time), self.next.load(Ordering::Relaxed));
        let later = millis(time + self.interval);
        let order = Ordering::Relaxed;
        if now >= next
            && self
                .next
                .compare_exchange(next, later, order, order)
                .is_ok()
        {
            return Some(self.held_back.swap(0, Ordering::Relaxed));
        }
        self.held_back.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_one_pass_an_interval_and_tells_how_many_did_not() {
        let throttle = Throttle::new(Duration::from_secs(5));
        let pass = |seconds| throttle.pass_at(Duration::from_secs(seconds));
        assert_eq!(
            [pass(0), pass(1), pass(4), pass(5), pass(6), pass(20)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
