//! Follows whether the node has the device.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::device::{Device, DeviceState};
use super::folder_events::FolderEvents;
use crate::metrics::device_plugin::DevicePluginMetrics;

/// How often to look, even without an event: there may be no inotify instance, and none
/// sees a file system that is mounted over the device.
const EVERY: Duration = Duration::from_secs(5);

/// The state of the device, followed by a task.
pub struct DeviceWatch {
    device: Device,
    events: FolderEvents,
    state: watch::Sender<DeviceState>,
    metrics: Arc<DevicePluginMetrics>,
}

impl DeviceWatch {
    /// Looks at the device for the first time, and logs its state.
    pub fn start(
        device: Device,
        metrics: Arc<DevicePluginMetrics>,
    ) -> (DeviceWatch, watch::Receiver<DeviceState>) {
        // Before the first look, so that no change is missed.
        let events = FolderEvents::of(device.folder());
        let now = device.state();
        let (state, states) = watch::channel(now);
        let watch = DeviceWatch {
            device,
            events,
            state,
            metrics,
        };
        watch.report(now);
        (watch, states)
    }

    /// Follows the device until the runtime ends.
    pub async fn follow(mut self) {
        loop {
            let _ = timeout(EVERY, self.events.changed()).await;
            let now = self.device.state();
            let is_new = self.state.send_if_modified(|state| {
                let is_new = *state != now;
                *state = now;
                is_new
            });
            if is_new {
                self.report(now);
            }
        }
    }

    fn report(&self, state: DeviceState) {
        self.metrics
            .device_healthy
            .set(i64::from(state.is_present()));
        if state.is_present() {
            tracing::info!(device = "healthy", "{state}");
        } else {
            tracing::warn!(device = "unhealthy", "{state}");
        }
    }
}
