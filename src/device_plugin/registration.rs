//! Registers the plugin with the kubelet, and again when the kubelet has lost it.
//!
//! ```text
//! listen at a new socket ─▶ register ─▶ registered, until one of these:
//!     ▲                        │          the socket is gone: a kubelet that starts removes all
//!     │                        │          kubelet.sock is another file: another kubelet
//!     └────────────────────────┴────────  no stream of devices: the kubelet ended, or dropped it for
//!                                         another plugin of the resource
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::attempts::Attempts;
use super::folder_events::FolderEvents;
use super::kubelet::{KubeletSocket, NotRegistered, SocketFile};
use super::resource::ResourceName;
use super::service::PluginService;
use super::socket::{PluginSocket, remove_left_over};
use crate::metrics::device_plugin::{DevicePluginMetrics, RegistrationOutcome};

/// How often to look at the sockets, even without an event: there may be no inotify
/// instance.
const EVERY: Duration = Duration::from_secs(5);
/// How long the kubelet may take to watch the devices of a registered plugin.
const WATCHED_WITHIN: Duration = Duration::from_secs(10);
/// A registration that lasted as long was a good one: the next failure is a new one.
const LASTING: Duration = Duration::from_secs(60);

/// Keeps the plugin registered.
pub struct Registration {
    folder: PathBuf,
    kubelet: KubeletSocket,
    events: FolderEvents,
    resource: ResourceName,
    service: PluginService,
    registered: watch::Sender<bool>,
    metrics: Arc<DevicePluginMetrics>,
}

/// Why the plugin has to be registered again.
#[derive(Debug, Clone, Copy)]
enum Lost {
    SocketRemoved,
    KubeletReplaced,
    /// The kubelet watched the devices, and does no longer.
    Dropped,
    /// The kubelet accepted the plugin, and did not begin to watch its devices.
    NotWatched,
}

impl Registration {
    /// Registers with the kubelet whose plugins' sockets are in `folder`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn new(
        folder: &Path,
        resource: ResourceName,
        service: PluginService,
        metrics: Arc<DevicePluginMetrics>,
    ) -> io::Result<Registration> {
        remove_left_over(folder)?;
        Ok(Registration {
            folder: folder.to_owned(),
            kubelet: KubeletSocket::of(folder),
            events: FolderEvents::of(folder),
            resource,
            service,
            registered: watch::Sender::new(false),
            metrics,
        })
    }

    /// Whether the kubelet knows the plugin and watches its devices.
    pub fn registered(&self) -> watch::Receiver<bool> {
        self.registered.subscribe()
    }

    /// Keeps the plugin registered. If this is dropped, the socket is removed.
    ///
    /// # Errors
    /// The plugin cannot listen in the folder.
    pub async fn keep(mut self) -> io::Error {
        let mut attempts = Attempts::default();
        loop {
            let socket = match PluginSocket::listen(&self.folder, &self.service) {
                Ok(socket) => socket,
                Err(error) => return error,
            };
            let Some(kubelet) = self.register(&socket, &mut attempts).await else {
                continue;
            };
            let start = Instant::now();
            let lost = self.lost(&socket, kubelet).await;
            self.show(false);
            tracing::warn!("{lost}; registering again");
            if start.elapsed() > LASTING {
                attempts.start_over();
            } else {
                sleep(attempts.pause()).await;
            }
        }
    }

    /// Registers the plugin at `socket`, and returns the kubelet's socket file if it
    /// succeeds. Where it cannot succeed at this socket any more, returns none.
    async fn register(
        &mut self,
        socket: &PluginSocket,
        attempts: &mut Attempts,
    ) -> Option<Option<SocketFile>> {
        let mut watching = socket.watching();
        loop {
            let kubelet = self.kubelet.file();
            let registered = self.kubelet.register(&self.resource, socket.name()).await;
            let outcome = match &registered {
                Ok(()) => RegistrationOutcome::Accepted,
                Err(why) => why.outcome(),
            };
            self.metrics.registration_ended(outcome);
            let Err(why) = registered else {
                attempts.succeeded();
                let (resource, socket) = (&self.resource, socket.name());
                tracing::info!(%resource, socket, "registered with the kubelet");
                return Some(kubelet);
            };
            attempts.log(why.to_string());
            let pause = sleep(attempts.pause());
            let mut pause = std::pin::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = self.events.changed() => {
                        if self.kubelet.file() != kubelet {
                            attempts.start_over();
                            break;
                        }
                    }
                    // It accepted the plugin after all, only too late.
                    Ok(_) = watching.wait_for(|streams| *streams > 0) => return Some(kubelet),
                }
            }
            // The kubelet may still be busy with this socket, and refuses it a second time.
            let is_used = !matches!(why, NotRegistered::Unreachable(_));
            if is_used || !socket.is_there() {
                return None;
            }
        }
    }

    /// Waits until the kubelet has lost the plugin.
    async fn lost(&mut self, socket: &PluginSocket, kubelet: Option<SocketFile>) -> Lost {
        let mut watching = socket.watching();
        let deadline = Instant::now() + WATCHED_WITHIN;
        let mut was_watched = false;
        loop {
            let is_watched = *watching.borrow_and_update() > 0;
            was_watched |= is_watched;
            self.show(is_watched);
            if !socket.is_there() {
                return Lost::SocketRemoved;
            }
            if self.kubelet.file() != kubelet {
                return Lost::KubeletReplaced;
            }
            if !is_watched && was_watched {
                return Lost::Dropped;
            }
            if !is_watched && Instant::now() >= deadline {
                return Lost::NotWatched;
            }
            tokio::select! {
                () = self.events.changed() => {}
                _ = watching.changed() => {}
                () = sleep(EVERY) => {}
            }
        }
    }

    fn show(&self, registered: bool) {
        self.metrics.registered.set(i64::from(registered));
        self.registered.send_replace(registered);
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Lost::SocketRemoved => "the plugin's socket was removed, as a kubelet does that starts",
            Lost::KubeletReplaced => "the kubelet ended or restarted: its socket is another one",
            // The plugin sees the same in both cases: a kubelet that is killed leaves its socket.
            Lost::Dropped => {
                "the kubelet ended, or another device plugin registered the same resource, and the \
                 kubelet dropped this one: a node must have one plugin of a resource"
            }
            Lost::NotWatched => "the kubelet does not watch the plugin's devices",
        })
    }
}
