//! What the plugin's status port shows.

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;

use super::device::DeviceState;
use crate::health::page::{self, Checked, Status};
use crate::metrics::device_plugin::DevicePluginMetrics;
use crate::metrics::exposition::MetricsFormat;

/// The state that the pages show.
#[derive(Clone)]
pub struct PluginStatus {
    /// Whether the kubelet knows the plugin and watches its devices.
    pub registered: watch::Receiver<bool>,
    /// Whether the node has the device.
    pub device: watch::Receiver<DeviceState>,
    /// The metrics.
    pub metrics: Arc<DevicePluginMetrics>,
}

/// The pages.
pub fn router(status: PluginStatus) -> Router {
    page::router(status)
}

impl Status for PluginStatus {
    fn live_checks(&self) -> Vec<Checked> {
        Vec::new()
    }

    fn checks(&self) -> Vec<Checked> {
        let registered = match *self.registered.borrow() {
            true => Ok(()),
            false => Err("the kubelet does not know the plugin yet, or no longer".into()),
        };
        vec![("registration", registered)]
    }

    /// Not a check: a node without the device must not hold up a rollout, and the kubelet
    /// knows of it.
    fn notes(&self) -> Vec<String> {
        let device = *self.device.borrow();
        let absent = (!device.is_present()).then(|| device.to_string());
        absent.into_iter().collect()
    }

    fn exposition(&self, format: MetricsFormat) -> String {
        self.metrics.exposition(format)
    }
}
