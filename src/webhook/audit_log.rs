//! Writes the record of each decision to the log.

use std::time::Duration;

use admission::decision::Decision;
use admission::decision::record;
use admission::decision::record::{About, TARGET, Webhook};

/// Logs `decision`.
pub(super) fn log(webhook: Webhook, about: &About, decision: &Decision<'_>, duration: Duration) {
    let time = jiff::Timestamp::now().to_string();
    let record = record::line(webhook, about, decision, &time, duration);
    tracing::info!(target: TARGET, record);
}
