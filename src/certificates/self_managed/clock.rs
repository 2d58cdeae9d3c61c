//! The time, as an argument.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// One reading of two clocks.
///
/// The time of day dates certificates, and it may jump. The waiting time is
/// measured with the other as well: a jump must not make a wait look over.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time of day.
    pub wall: SystemTime,
    /// The time since some fixed instant. It never jumps.
    pub steady: Duration,
}

/// Gives the time.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The machine's own clock.
pub fn system() -> Clock {
    let start = Instant::now();
    Arc::new(move || Moment {
        wall: SystemTime::now(),
        steady: start.elapsed(),
    })
}
