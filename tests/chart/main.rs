//! The chart, rendered by real helm, and its life in a real cluster: a real API
//! server, and the real podseal with its service account's token.
//!
//! A control plane of `release.rs` serves one test after the other, since every
//! release is called for every namespace that opted in. Each test brings a
//! release and namespaces of its own, and takes them along.

// All values of the chart are one `json!`, which is expanded key by key.
#![recursion_limit = "256"]

use std::sync::LazyLock;

use support::controlplane::ControlPlane;

mod audit_log;
mod book;
mod called;
mod certificates;
mod device_plugin;
mod doctor;
mod emergencies;
mod helm_test;
mod host_network;
mod life;
mod modes;
mod namespace_gone;
mod namespace_guard;
mod openshift;
mod rbac;
mod release;
mod released;
mod renderings;
mod rollout_of_rules;
mod rules;
mod runners;
mod running;
mod token;
mod traffic;

/// For what is applied by itself, without a release: the device plugin, the SCC
/// and the guard of namespaces.
static PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
