//! One log event a decision, with its fields flat.
//!
//! The request's strings are bounded and escaped before they get here, so that
//! nobody who can create a pod can forge a line or flood the log.

use std::time::Duration;

use crate::admission::request::Request;
use crate::admission::review::{Decision, Outcome};
use crate::admission::text::bounded;

/// The `tracing` target of decisions.
pub const TARGET: &str = "podseal::decision";

/// How many bytes of sentences one event holds.
const CHANGES_LIMIT: usize = 4096;

/// What the record says of the request, kept while the decision consumes it.
pub struct About {
    /// The review's uid, as it is echoed.
    pub uid: String,
    namespace: String,
    pod: String,
    user: String,
    operation: String,
    dry_run: bool,
}

impl About {
    /// The request's own part of the record.
    pub fn of(request: &Request<'_>) -> About {
        let pod = request
            .object
            .as_ref()
            .map(|pod| pod.name())
            .unwrap_or_default();
        About {
            uid: request.uid.to_string(),
            namespace: bounded(request.namespace.as_deref().unwrap_or_default()).into_owned(),
            pod: bounded(pod).into_owned(),
            user: bounded(request.user_info.username.as_deref().unwrap_or_default()).into_owned(),
            operation: bounded(&request.operation).into_owned(),
            dry_run: request.dry_run == Some(true),
        }
    }
}

/// Logs `decision`.
pub fn log(about: &About, decision: &Decision<'_>, duration: Duration) {
    let job = decision.job.as_ref();
    let shown = |text: Option<&str>| text.map(|text| bounded(text).into_owned());
    let job_id = shown(job.and_then(|job| job.id.as_deref()));
    let project_id = shown(job.and_then(|job| job.project_id.as_deref()));
    let project = shown(job.and_then(|job| job.project.as_deref()));
    let changes = decision.outcome.changes();
    let changes = (!changes.is_empty()).then(|| super::response::sentences(changes, CHANGES_LIMIT));
    let (code, message) = match &decision.outcome {
        Outcome::Allow(why) => (200, why.reason()),
        Outcome::Mutate { .. } => (200, "corrected as the profile says"),
        Outcome::Deny(denial) => (denial.code, denial.message.as_str()),
    };
    tracing::info!(
        target: TARGET,
        uid = &*bounded(&about.uid),
        operation = about.operation,
        namespace = about.namespace,
        pod = about.pod,
        job_id,
        project_id,
        project,
        user = about.user,
        profile = decision.profile.map(bounded).as_deref(),
        decision = decision.outcome.word(),
        code,
        changes,
        dry_run = about.dry_run,
        duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        "{message}",
    );
}
