//! The kubelet's device plugin API, v1beta1, in Rust.
//!
//! `v1beta1.proto` has the messages and the two services, and the module [`v1beta1`] is
//! generated from it, by a test: builds need no protoc. podseal serves `DevicePlugin` and
//! calls `Registration`; the tests' kubelet does the reverse, so both ends of both are here.

/// The version that a plugin registers with.
pub const VERSION: &str = "v1beta1";
/// The health of a device that containers can get.
pub const HEALTHY: &str = "Healthy";
/// The health of a device that containers cannot get.
pub const UNHEALTHY: &str = "Unhealthy";
/// The kubelet's own socket, in the folder of the plugins' sockets.
pub const KUBELET_SOCKET: &str = "kubelet.sock";

// Generated: its comments are those of the proto, and its style is the generator's.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[rustfmt::skip]
pub mod v1beta1;
