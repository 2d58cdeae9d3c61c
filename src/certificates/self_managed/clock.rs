//! The time, as an argument.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The time of two clocks.
///
/// Certificates use the time of day, which may jump. Waiting times are also measured
/// with the steady clock, so that a jump does not end them early.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time of day.
    pub wall: SystemTime,
    /// The time since a fixed instant, which never jumps.
    pub steady: Duration,
}

/// Returns the time.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The machine's clocks.
pub fn system() -> Clock {
    let start = Instant::now();
    Arc::new(move || Moment {
        wall: SystemTime::now(),
        steady: start.elapsed(),
    })
}
