//! What the kubelet calls on a container's behalf: probes and lifecycle hooks.
//!
//! Only where they go is read: a host that is not the pod itself makes the
//! kubelet send requests elsewhere from the node's network.

#![allow(
    missing_docs,
    reason = "the fields are Kubernetes' own, documented there"
)]

use serde::Deserialize;

use super::object::{absent, object};
use crate::text::Text;

/// A probe, or one hook of [`Lifecycle`]: both say where to call in the same
/// fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Handler<'a> {
    #[serde(borrow, deserialize_with = "object")]
    pub http_get: Option<Endpoint<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub tcp_socket: Option<Endpoint<'a>>,
}

/// `httpGet` or `tcpSocket`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Endpoint<'a> {
    /// Empty for the pod's own address.
    #[serde(borrow, deserialize_with = "absent")]
    pub host: Text<'a>,
}

/// `lifecycle`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Lifecycle<'a> {
    #[serde(borrow, deserialize_with = "object")]
    pub post_start: Option<Handler<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub pre_stop: Option<Handler<'a>>,
}
