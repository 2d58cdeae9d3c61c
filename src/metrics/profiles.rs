//! The profiles' files: whether they were taken up.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::certificates::Reload;
use super::series::{Counters, NamedCounters};

/// The figures of profiles.
#[derive(Debug, Clone)]
pub struct ProfileMetrics {
    by_name: NamedCounters,
    reloads: Counters<(Reload,)>,
    failing: Gauge,
}

impl ProfileMetrics {
    /// The figures, besides those that are kept `by_name`.
    pub(super) fn register(registry: &mut Registry, by_name: NamedCounters) -> ProfileMetrics {
        let profiles = ProfileMetrics {
            by_name,
            reloads: Counters::default(),
            failing: Gauge::default(),
        };
        registry.register(
            "profiles_reloads",
            "Changes of the profiles' files",
            profiles.reloads.clone(),
        );
        registry.register(
            "profiles_reload_failing",
            "1 while the profiles' files cannot be used and those of before decide",
            profiles.failing.clone(),
        );
        profiles
    }

    /// The files changed, and these profiles decide.
    pub fn reloaded<'n>(&self, names: impl Iterator<Item = &'n str>) {
        self.by_name.know(names.map(str::to_owned));
        self.reloads.count((Reload::Success,));
        self.failing.set(0);
    }

    /// The files cannot be used.
    pub fn reload_failed(&self) {
        self.reloads.count((Reload::Failed,));
        self.failing.set(1);
    }

    /// The files are those that decide.
    pub fn in_order(&self) {
        self.failing.set(0);
    }
}
