//! Retries until podseal answers or the timeout.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::attempt::Attempt;
use super::config::ProbeConfig;
use super::failure::Failure;
use super::report::Report;

/// The first and the longest pause between attempts; each is twice the previous one.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// Probes, and retries after temporary failures. Calls `waiting` for each of these, with
/// the time left.
pub async fn probe(config: &ProbeConfig, mut waiting: impl FnMut(&Failure, Duration)) -> Report {
    let start = Instant::now();
    let deadline = start + config.timeout;
    let mut pause = PAUSES[0];
    let mut attempts = 0;
    loop {
        let attempt = Attempt::make(config, deadline).await;
        attempts += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        match &attempt.failure {
            Some(failure) if failure.may_pass() && !left.is_zero() => {
                waiting(failure, left);
            }
            _ => {
                return Report {
                    steps: attempt.steps,
                    certificate: attempt.certificate,
                    failure: attempt.failure,
                    attempts,
                    took: start.elapsed(),
                };
            }
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}
