//! The labels and annotations of the cluster's namespaces.
//!
//! ```text
//! review ─▶ source ─▶ cache ◀─ watch ◀── list, then watch ── API server
//!              └─(missing, or not fresh)─▶ look_up ── GET ──────┘
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | [`source`] | gets a namespace from the cluster or from a file |
//! | `cache` | the namespaces that opt in |
//! | `freshness` | until when the cache may answer, and when it is stale |
//! | `watch` | fills the cache: lists, then watches |
//! | `watch_lag` | how far the watch may lag behind |
//! | `look_up` | gets one namespace from the API server |
//! | `look_up_queue` | which look-up is next when many wait |
//! | `object` | reads the API server's answers as they arrive, and keeps what podseal uses |
//! | [`unavailable`] | why a namespace cannot be looked up |
//! | [`mod@file`] | namespaces from a file |
//!
//! The cache answers only while the watch is known to be current. Everything else
//! requires a live look-up, and a failed look-up denies the review.

mod cache;
pub mod file;
mod freshness;
mod look_up;
mod look_up_queue;
mod object;
pub mod source;
pub mod unavailable;
mod watch;
mod watch_lag;
