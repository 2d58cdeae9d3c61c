//! The time as of which all events were read.
//!
//! Events arrive late, and later events may be queued behind them. For small events
//! that is negligible. An event of megabytes on a slow connection takes seconds or
//! minutes, and changes of that time come after it. So it confirms only that all
//! events were read when it began to arrive. An API server with many such events
//! never lets the connection become idle.
//!
//! So every byte that is read requires some idle time: the queue counts as empty only
//! after the connection was idle for as long as an API server would have needed to
//! send that many bytes.

use std::time::{Duration, Instant};

/// The bytes that a second of idle time offsets: fewer than an API server sends, which
/// encodes tens of megabytes per second even on a busy core.
const PER_SECOND: u64 = 8 << 20;
/// The maximum number of bytes that count: after two idle seconds between events,
/// nothing is queued.
const MOST: u64 = 2 * PER_SECOND;

/// How far behind the API server the reader of events may be.
#[derive(Debug)]
pub(super) struct WatchLag {
    as_of: Instant,
    /// Bytes that idle time has not offset yet.
    bytes: u64,
}

impl WatchLag {
    /// All events were read as of this time.
    pub(super) fn new(as_of: Instant) -> WatchLag {
        WatchLag { as_of, bytes: 0 }
    }

    /// Adds idle time between two events, which ends now.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited_until(time, Instant::now());
    }

    fn waited_until(&mut self, time: Duration, now: Instant) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let offset = micros.saturating_mul(PER_SECOND) / 1_000_000;
        self.bytes = self.bytes.saturating_sub(offset);
        if self.bytes == 0 {
            self.as_of = self.as_of.max(now);
        }
    }

    /// Adds bytes that were read, of an event or of the list.
    pub(super) fn read(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes).min(MOST);
    }

    /// The time as of which all events were read.
    pub(super) fn as_of(&self) -> Instant {
        self.as_of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn small_events_prove_the_moment_at_which_they_came() {
        let start = Instant::now();
        let mut lag = WatchLag::new(start);
        for milli in 1..20_000 {
            let now = start + MILLI * milli;
            lag.waited_until(MILLI / 2, now);
            assert_eq!(lag.as_of(), now);
            lag.read(2_000);
        }
    }

    #[test]
    fn a_long_event_proves_when_it_began_and_what_follows_at_once_no_more() {
        let start = Instant::now();
        let mut lag = WatchLag::new(start);
        let began = start + MILLI * 100;
        lag.waited_until(MILLI * 100, began);
        lag.read(9 << 20);
        // It took a minute, and others waited behind it; the API server needed a
        // moment for each.
        let mut now = began + Duration::from_secs(60);
        for _ in 0..10 {
            lag.waited_until(MILLI * 100, now);
            assert_eq!(lag.as_of(), began);
            lag.read(9 << 20);
            now += MILLI * 500;
        }
        lag.waited_until(Duration::from_millis(2_001), now);
        assert_eq!(lag.as_of(), now, "the way was idle");
    }
}
