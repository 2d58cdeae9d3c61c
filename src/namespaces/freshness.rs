//! Whether the cached namespaces are current enough to answer with, or stale.

use std::time::{Duration, Instant};

/// How long the cache answers after its last confirmation.
///
/// A watch that hangs looks like one without events. So this is the longest time
/// for which an outdated label is used. The clock does not advance while the machine
/// is suspended, so a suspension can add the same time once more.
pub(super) const FRESH_FOR: Duration = Duration::from_secs(10);

/// When the namespaces were last known to be complete. Stale before that.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    confirmed_at: Option<Instant>,
    /// Whether the watch delivers changes.
    followed: bool,
}

impl Freshness {
    /// That of a complete list, as of `as_of` or later.
    pub(super) fn confirmed_at(as_of: Instant) -> Freshness {
        Freshness {
            confirmed_at: Some(as_of),
            followed: true,
        }
    }

    /// Confirms that all changes up to `as_of` are included.
    pub(super) fn confirm(&mut self, as_of: Instant) {
        self.confirmed_at = self.confirmed_at.max(Some(as_of));
    }

    /// Makes it stale until the next list, because the watch failed.
    pub(super) fn mark_stale(&mut self) {
        self.followed = false;
    }

    /// The time since the last confirmation.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.confirmed_at?))
    }

    /// Whether the cache may answer at `now`.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.followed && self.age(now).is_some_and(|age| age < FRESH_FOR)
    }
}
