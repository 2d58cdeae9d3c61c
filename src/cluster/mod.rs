//! What podseal knows of the cluster: the labels of its namespaces.
//!
//! ```text
//! review ─▶ namespaces ─▶ cache ◀─ watch ◀── list, then watch ── API server
//!                └─(not there, or not fresh)─▶ look_up ── GET ──────┘
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `lag` | how old the watch's events may be |
//! | `waiting` | which look-up comes next, where many wait |
//! | `answer`, `json_stream`, `object` | the API server's answers, read as they arrive, for what podseal keeps |
//!
//! The cache answers only while the watch has lately proved alive. Everything
//! else is asked for live, and what cannot be asked is denied.

mod answer;
mod cache;
pub(crate) mod error;
pub mod file;
mod json_stream;
mod lag;
pub mod look_up;
pub mod namespaces;
mod object;
mod waiting;
mod watch;
