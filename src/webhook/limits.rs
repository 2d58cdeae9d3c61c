//! The limits of reviews.

use std::time::Duration;

/// The limits of all requests together. Each is an argument of `podseal serve`, or fixed
/// for the reason given here.
#[derive(Debug, Clone)]
pub struct ReviewLimits {
    /// The timeout of a body, if the request's own `timeout` is longer.
    pub body: Duration,
    /// The maximum number of requests in flight, including those whose bodies have not
    /// arrived: each uses some memory that is not part of a reservation.
    pub requests: usize,
    /// The maximum memory for bodies and for deciding them, in bytes.
    pub memory: usize,
    /// The maximum number of reviews in progress.
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
    /// The maximum number of reviews that wait for a live look-up of their namespace: half
    /// of those in progress. A quarter may wait for a watch, which leaves another for
    /// reviews whose namespace is cached.
    pub fn look_ups_waiting(&self) -> usize {
        (self.reviews / 2).max(1)
    }
}
