//! What the status port of `podseal serve` shows.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;

use super::page::{self, Checked, Status};
use super::readiness::{Check, Readiness};
use crate::audit_log::log::AuditLog;
use crate::live_config::current::LiveConfig;
use crate::metrics::Metrics;
use crate::metrics::exposition::MetricsFormat;
use admission::text::remark;

/// The maximum length of an error.
const PROBLEM: usize = 400;

/// The state that the pages show.
#[derive(Clone)]
pub struct HealthState {
    /// The checks.
    pub readiness: Readiness,
    /// The configuration.
    pub rules: LiveConfig,
    /// The audit log.
    pub audit_log: AuditLog,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The pages.
pub fn router(status: HealthState) -> Router {
    page::router(status)
}

impl Status for HealthState {
    /// A new process has a new pipe. Without it, the replica would shed reviews for ever.
    fn live_checks(&self) -> Vec<Checked> {
        let log = match self.audit_log.is_closed() {
            true => Err("nobody reads the records: the pipe is closed".into()),
            false => Ok(()),
        };
        vec![("audit-log", log)]
    }

    fn checks(&self) -> Vec<Checked> {
        let now = SystemTime::now();
        let checked = |check: Check| (check.name(), self.readiness.check(check, now));
        Check::ALL.into_iter().map(checked).collect()
    }

    /// Not checks. podseal still serves, with the previous profiles; and reviews that are shed
    /// are tried again, which a Service without endpoints would not be.
    fn notes(&self) -> Vec<String> {
        let profiles = self.rules.problem().map(|problem| {
            let problem = remark(&problem, PROBLEM);
            format!("profiles reload failed; keeping the previous profiles: {problem}")
        });
        let audit_log = self.audit_log.problem().map(|problem| {
            let problem = remark(&problem, PROBLEM);
            format!("audit log failing; shedding reviews until it can be written: {problem}")
        });
        profiles.into_iter().chain(audit_log).collect()
    }

    fn exposition(&self, format: MetricsFormat) -> String {
        self.metrics.exposition(format)
    }
}
