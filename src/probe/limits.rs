//! The bounds of a probe.

use std::time::Duration;

/// The most bytes of an answer that are read: those of podseal are a thousandth.
pub(super) const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How long a stage may take: an API server's own default for a webhook.
pub(super) const STAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take at least, however little time is left: the last attempt
/// is to say what is wrong, and not that it had no time.
pub(super) const MIN_STAGE_TIMEOUT: Duration = Duration::from_secs(1);
