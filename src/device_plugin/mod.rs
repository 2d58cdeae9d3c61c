//! A device plugin of the kubelet (API v1beta1): it offers a node's `/dev/fuse` as an
//! extended resource, to as many containers at once as there are IDs.
//!
//! ```text
//! node's /dev ─▶ device_watch ─▶ DeviceState ─▶ service ─▶ the kubelet
//! kubelet.sock ─▶ registration ─▶ socket (serves the service), kubelet (registers it)
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | [`resource`] | the resource's name, and the IDs of its devices |
//! | [`device`] | whether the node has the device |
//! | [`device_watch`] | follows that |
//! | [`service`] | answers the kubelet's calls |
//! | `socket` | the plugin's own socket, which serves them |
//! | `kubelet` | the kubelet's socket, and the call that registers the plugin |
//! | [`registration`] | registers the plugin, and again when the kubelet restarts |
//! | `attempts` | pauses between attempts, and which of them to log |
//! | `folder_events` | inotify |
//! | [`status`] | `/livez`, `/readyz` and `/metrics` |

mod attempts;
pub mod device;
pub mod device_watch;
mod folder_events;
mod kubelet;
pub mod registration;
pub mod resource;
pub mod service;
mod socket;
pub mod status;
