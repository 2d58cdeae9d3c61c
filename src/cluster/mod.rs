//! What podseal knows of the cluster: the labels of its namespaces.
//!
//! ```text
//! review ─▶ namespaces ─▶ cache ◀─ watch ◀── list, then watch ── API server
//!                └─(not there, or not fresh)─▶ look_up ── GET ──────┘
//! ```
//!
//! The cache answers only while the watch has lately proved alive. Everything
//! else is asked for live, and what cannot be asked is denied.

mod cache;
pub(crate) mod error;
pub mod file;
pub mod look_up;
pub mod namespaces;
mod object;
mod watch;
