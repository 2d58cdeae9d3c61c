//! The bounds within which reviews are answered.

use std::time::Duration;

/// What requests may hold together, and for how long. Each is an argument of
/// `podseal serve`, or fixed for a reason given here.
#[derive(Debug, Clone)]
pub struct ReviewLimits {
    /// How long a body may take, where the request's own `timeout` is longer.
    pub body: Duration,
    /// How many requests are in flight at once, those included whose bodies are
    /// still to come: each takes some memory that no body is counted for.
    pub requests: usize,
    /// How many bytes of bodies are held at once.
    pub memory: usize,
    /// How many reviews are decided at once.
    pub reviews: usize,
}

impl Default for ReviewLimits {
    fn default() -> ReviewLimits {
        ReviewLimits {
            body: Duration::from_secs(10),
            requests: 4096,
            memory: 64 * 1024 * 1024,
            reviews: 256,
        }
    }
}

impl ReviewLimits {
    /// How many reviews may wait for a live look-up of their namespace: half of
    /// those that are decided at once, so that however many wait, the other half is
    /// for reviews whose namespace is known.
    pub fn look_ups_waiting(&self) -> usize {
        (self.reviews / 2).max(1)
    }
}
