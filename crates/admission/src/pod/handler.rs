//! Probes and lifecycle hooks, which the kubelet calls.
//!
//! Only the host is read: with a host other than the pod, the kubelet sends
//! requests to it from the node's network.

#![allow(
    missing_docs,
    reason = "the fields are Kubernetes' own, documented there"
)]

use serde::Deserialize;

use super::object::{absent, object};
use crate::text::Text;

/// A probe, or one hook of [`Lifecycle`]: both have the same fields.
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
