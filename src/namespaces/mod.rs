//! What podseal knows of the cluster: the labels of its namespaces.
//!
//! ```text
//! review ─▶ source ─▶ cache ◀─ watch ◀── list, then watch ── API server
//!              └─(not there, or not fresh)─▶ look_up ── GET ──────┘
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | [`source`] | where a namespace's labels come from: the cluster, or a file |
//! | `cache` | the namespaces that opt in, and since when that is known to hold |
//! | `watch` | keeps the cache: lists, then watches |
//! | `watch_lag` | how old the watch's events may be |
//! | `look_up` | asks for one namespace, live |
//! | `look_up_queue` | which look-up comes next, where many wait |
//! | `object` | the API server's answers, read as they arrive, for what podseal keeps |
//! | [`unavailable`] | why a namespace's labels cannot be known |
//! | [`mod@file`] | namespaces from a file |
//!
//! The cache answers only while the watch has lately proved alive. Everything
//! else is asked for live, and what cannot be asked is denied.

mod cache;
pub mod file;
mod look_up;
mod look_up_queue;
mod object;
pub mod source;
pub mod unavailable;
mod watch;
mod watch_lag;
