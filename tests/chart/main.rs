//! The chart's life in a real cluster: real helm, a real API server, and the
//! real podseal with its service account's token.
//!
//! A control plane serves one test after the other, since every release is
//! called for every namespace that opted in. Each test brings a release and
//! namespaces of its own, and takes them along.

mod called;
mod certificates;
mod emergencies;
#[path = "../support/helm.rs"]
mod helm;
mod life;
mod modes;
mod namespace_gone;
#[path = "../support/node/mod.rs"]
mod node;
mod rbac;
mod release;
mod released;
mod rollout_of_rules;
mod rules;
mod runners;
mod running;
#[path = "../support/mod.rs"]
mod support;
mod token;
mod traffic;
