//! Metrics for Prometheus.
//!
//! | file | content |
//! |---|---|
//! | [`label`] | labels, whose values are all known at the start |
//! | [`series`], [`durations`] | counters and histograms by label, without a lock |
//! | `state` | metrics of a state that is read at each scrape |
//! | [`requests`], [`connections`], [`certificates`], [`profiles`], [`namespaces`], [`pod_events`], [`log`], `process` | the metrics |
//! | [`registry`] | the registration of all of them, each by its file |
//! | [`device_plugin`] | the metrics of `podseal device-plugin`, which is another process |
//! | [`exposition`] | the text formats |
//!
//! [`Metrics`] is created once and passed to everything that counts. This folder
//! imports nothing else of the server: labels are enums of this folder or of the
//! core, and values that are read at a scrape come from a function that the caller
//! passes in. `docs/metrics.md` describes each metric.

pub mod certificates;
pub mod connections;
pub mod device_plugin;
pub mod durations;
pub mod exposition;
pub mod label;
pub mod log;
pub mod namespaces;
pub mod pod_events;
mod process;
pub mod profiles;
pub mod registry;
pub mod requests;
pub mod series;
mod state;

pub use self::registry::Metrics;
