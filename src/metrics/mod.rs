//! What podseal counts of itself, for Prometheus.
//!
//! | file | what it holds |
//! |---|---|
//! | [`label`] | labels whose values are known from the start |
//! | [`series`], [`durations`] | what is counted and measured by such labels, without a lock |
//! | [`requests`], [`connections`], [`certificates`], [`profiles`], [`namespaces`], `process` | the figures |
//! | [`registry`] | where all of them are registered |
//! | [`exposition`] | the formats |
//!
//! [`Metrics`] is made once, and handed to everything that counts. It imports
//! nothing of the server: labels are enums of this folder or of the core, and
//! what is read at a scrape is read by a function that [`Metrics`] is given.
//! `docs/metrics.md` says what question each figure answers.

pub mod certificates;
pub mod connections;
pub mod durations;
pub mod exposition;
pub mod label;
pub mod namespaces;
mod process;
pub mod profiles;
pub mod registry;
pub mod requests;
pub mod series;

pub use self::registry::Metrics;
