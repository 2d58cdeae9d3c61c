//! The limits of a probe.

use std::time::Duration;

/// The maximum size of a response; those of podseal are far smaller.
pub(super) const MAX_ANSWER_BYTES: usize = 1 << 20;
/// The timeout of a stage: an API server's default for a webhook.
pub(super) const STAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// The minimum timeout of a stage, so that the last attempt reports the actual problem
/// instead of a lack of time.
pub(super) const MIN_STAGE_TIMEOUT: Duration = Duration::from_secs(1);
