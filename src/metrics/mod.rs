//! What podseal counts of itself, for Prometheus.
//!
//! | file | what it holds |
//! |---|---|
//! | [`label`] | labels whose values are known from the start |
//! | [`series`] | counters and durations by such labels, without a lock |
//! | [`requests`], [`connections`], [`certificates`], [`namespaces`], `process` | the figures |
//! | [`exposition`] | the formats |
//!
//! [`Metrics`] is made once and handed to everybody who has something to count.
//! `docs/metrics.md` says what question each figure answers.

pub mod certificates;
pub mod connections;
pub mod exposition;
pub mod label;
pub mod namespaces;
mod process;
pub mod requests;
pub mod series;

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::certificates::Certificates;
use self::connections::Connections;
use self::exposition::{Format, into_prometheus};
use self::namespaces::NamespaceCache;
use self::process::ThisProcess;
use self::requests::Requests;
use crate::admission::profile::Profiles;
use crate::certificates::serving::Current;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Requests, and what was decided.
    pub requests: Requests,
    /// Connections and handshakes.
    pub connections: Connections,
    /// Certificates and their files.
    pub certificates: Certificates,
    /// The cache of namespaces.
    pub namespaces: NamespaceCache,
    registry: Registry,
}

impl Metrics {
    /// Figures that are all zero, of a podseal that knows `profiles` and serves
    /// with `certificate`.
    pub fn new(profiles: &Profiles, certificate: Current) -> Metrics {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("podseal");
        let build = vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", env!("PODSEAL_COMMIT")),
        ];
        registry.register("build", "The running build", Info::new(build));
        let (requests, connections) = (
            Requests::register(registry, profiles),
            Connections::register(registry),
        );
        let (certificates, namespaces) = (
            Certificates::register(registry, certificate),
            NamespaceCache::register(registry),
        );
        all.register_collector(Box::new(ThisProcess));
        Metrics {
            requests,
            connections,
            certificates,
            namespaces,
            registry: all,
        }
    }

    /// All figures, as they are now.
    pub fn exposition(&self, format: Format) -> String {
        let mut open = String::with_capacity(32 * 1024);
        text::encode(&mut open, &self.registry).expect("a string takes what is written to it");
        match format {
            Format::OpenMetrics => open,
            Format::Prometheus => into_prometheus(&open),
        }
    }
}
