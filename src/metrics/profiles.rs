//! The profiles' files: whether they were taken up.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::certificates::Reload;
use super::series::Counters;

/// The figures of profiles.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    reloads: Counters<(Reload,)>,
    failing: Gauge,
}

impl Profiles {
    pub(super) fn register(registry: &mut Registry) -> Profiles {
        let profiles = Profiles::default();
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

    /// The files changed, and their profiles decide.
    pub fn reloaded(&self) {
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
