//! What the status port of `podseal serve` shows.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;

use super::page::{self, Checked, Status};
use super::readiness::{Check, Readiness};
use crate::live_config::current::LiveConfig;
use crate::metrics::Metrics;
use crate::metrics::exposition::MetricsFormat;
use admission::text::remark;

/// The maximum length of the profiles' error.
const PROBLEM: usize = 400;

/// The state that the pages show.
#[derive(Clone)]
pub struct HealthState {
    /// The checks.
    pub readiness: Readiness,
    /// The configuration.
    pub rules: LiveConfig,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// The pages.
pub fn router(status: HealthState) -> Router {
    page::router(status)
}

impl Status for HealthState {
    fn checks(&self) -> Vec<Checked> {
        let now = SystemTime::now();
        let checked = |check: Check| (check.name(), self.readiness.check(check, now));
        Check::ALL.into_iter().map(checked).collect()
    }

    /// Not a check: podseal still serves, with the previous profiles.
    fn note(&self) -> Option<String> {
        let problem = self.rules.problem()?;
        let problem = remark(&problem, PROBLEM);
        Some(format!(
            "profiles reload failed; keeping the previous profiles: {problem}"
        ))
    }

    fn exposition(&self, format: MetricsFormat) -> String {
        self.metrics.exposition(format)
    }
}
