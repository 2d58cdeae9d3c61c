//! Profile files: whether their changes were loaded.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::certificates::Reload;
use super::series::{Counters, NamedCounters, registered};

/// The metrics of profiles.
#[derive(Debug, Clone)]
pub struct ProfileMetrics {
    by_name: NamedCounters,
    reloads: Counters<Reload>,
    failing: Gauge,
}

impl ProfileMetrics {
    /// Registers the metrics, except `by_name`.
    pub(super) fn register(registry: &mut Registry, by_name: NamedCounters) -> ProfileMetrics {
        ProfileMetrics {
            by_name,
            reloads: registered(registry, "profiles_reloads", "Changes of the profile files"),
            failing: registered(
                registry,
                "profiles_reload_failing",
                "1 while the profile files are unusable and the previous profiles are in use",
            ),
        }
    }

    /// Counts a change of the files; these profiles are in use now.
    pub fn reloaded<'n>(&self, names: impl Iterator<Item = &'n str>) {
        self.by_name.know(names.map(str::to_owned));
        self.reloads.of(Reload::Success).inc();
        self.failing.set(0);
    }

    /// Counts a change of the files that is unusable.
    pub fn reload_failed(&self) {
        self.reloads.of(Reload::Failed).inc();
        self.failing.set(1);
    }

    /// Shows that the profiles of the files are in use.
    pub fn in_order(&self) {
        self.failing.set(0);
    }
}
