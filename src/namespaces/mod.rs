//! The labels and annotations of the cluster's namespaces.
//!
//! ```text
//! review ─▶ source ─▶ cache ◀─ watch ◀── list, then watch ── API server
//!              │        ▲                                        │
//!              │        └─ what it found ◀─┐                     │
//!              └─(missing, or not fresh)─▶ look_up ── GET ───────┘
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | [`source`] | gets a namespace from the cluster or from a file |
//! | `watched` | a watch of a selection, and what it fills |
//! | `selection` | which namespaces a watch covers: by label, or by rules |
//! | `cache` | the namespaces of a selection |
//! | `learned` | what look-ups found before the watch showed it |
//! | `arrivals` | reviews that wait until the watch shows their namespace |
//! | `version` | which of two objects is newer |
//! | `shared_pairs` | labels and annotations that namespaces have in common |
//! | `freshness` | until when the cache may answer, and when it is stale |
//! | `watch` | fills the cache: lists, then watches |
//! | `watch_lag` | how far the watch may lag behind |
//! | `look_up` | gets one namespace from the API server |
//! | `look_up_queue` | which look-up is next when many wait |
//! | `object` | reads the API server's answers as they arrive, and keeps what podseal uses |
//! | [`unavailable`] | why a namespace cannot be looked up |
//! | [`mod@file`] | namespaces from a file |
//!
//! There is a watch and a cache for each selection. A cache answers only while its watch
//! is known to be current. Everything else requires a live look-up, and a failed look-up
//! denies the review.

mod arrivals;
mod cache;
pub mod file;
mod freshness;
mod learned;
mod look_up;
mod look_up_queue;
mod object;
mod selection;
mod shared_pairs;
pub mod source;
pub mod unavailable;
mod version;
mod watch;
mod watch_lag;
mod watched;
