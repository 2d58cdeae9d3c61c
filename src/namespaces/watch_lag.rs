//! As of when the events that were read are all there were.
//!
//! An event that arrives is as old as its way here was long, and events that wait
//! behind it have not been seen. While events are small that is nothing. One of
//! megabytes over a slow way takes seconds or minutes, and what was changed
//! meanwhile comes after it; so it proves no more than that all was read at the
//! moment when it began to arrive. And an API server that has many such events to
//! send never lets the way become idle.
//!
//! So each byte that is read has to be waited off: only once the way was idle for
//! as long as an API server with more to say would have needed to send as many
//! bytes, nothing is queued.

use std::time::{Duration, Instant};

/// How many bytes a second of idleness makes up for: fewer than an API server
/// writes, which encodes tens of megabytes in a second even on a busy core.
const PER_SECOND: u64 = 8 << 20;
/// As many bytes count at most: two seconds without a byte, between two events,
/// say that there is none to be sent.
const MOST: u64 = 2 * PER_SECOND;

/// How far behind the API server the reader of events may be.
#[derive(Debug)]
pub(super) struct WatchLag {
    as_of: Instant,
    /// Bytes that were read and not waited off yet.
    bytes: u64,
}

impl WatchLag {
    /// Everything was read as of this moment.
    pub(super) fn new(as_of: Instant) -> WatchLag {
        WatchLag { as_of, bytes: 0 }
    }

    /// Nothing came for so long, between two events, and now something does.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited_until(time, Instant::now());
    }

    fn waited_until(&mut self, time: Duration, now: Instant) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let waited_off = micros.saturating_mul(PER_SECOND) / 1_000_000;
        self.bytes = self.bytes.saturating_sub(waited_off);
        if self.bytes == 0 {
            self.as_of = self.as_of.max(now);
        }
    }

    /// So much was read, of an event or of the list.
    pub(super) fn read(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes).min(MOST);
    }

    /// The moment as of which everything was read.
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
