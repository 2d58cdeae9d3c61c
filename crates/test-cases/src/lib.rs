//! Test cases: pods, reviews and profiles, and what every response must keep. Fuzz
//! targets and benches use it too. It starts no process.

pub mod answer;
pub mod costly;
pub mod fixtures;
pub mod job_log;
pub mod refusals;
pub mod review;
pub mod security_fields;
pub mod survival;
pub mod untrusted;
pub mod view;
pub mod widening;

#[cfg(feature = "generated")]
pub mod anything;
#[cfg(feature = "generated")]
mod pod_containers;
#[cfg(feature = "generated")]
pub mod pods;
#[cfg(feature = "generated")]
pub mod profiles;
#[cfg(feature = "generated")]
pub mod security_pods;

pub use fixtures::{fixture, job};
