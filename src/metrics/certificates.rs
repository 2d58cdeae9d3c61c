//! Certificates: when they expire, and whether their files are usable.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::label;
use super::series::{Counters, Series, Timestamp, registered, unix_seconds};

label! {
    /// A CA whose certificate can expire.
    Authority = "ca" {
        /// Issues the serving certificate.
        Current = "current",
        /// Will issue it, once every API server trusts this CA.
        Next = "next",
        /// Issued it before, and is still trusted.
        Previous = "previous",
        /// Issues client certificates: of those in `--client-ca`, the first to
        /// expire.
        Client = "client",
    }
}

label! {
    /// What a file contains.
    Material = "certificate" {
        /// The serving certificate and its key.
        Serving = "serving",
        /// The CAs of clients.
        ClientCa = "client_ca",
    }
}

label! {
    /// The result of a change of the files.
    Reload = "result" {
        /// The new content is in use.
        Success = "success",
        /// The new content is unusable; the previous content stays in use.
        Failed = "failed",
    }
}

label! {
    /// What the upkeep of a self-managed certificate does.
    Upkeep = "what" {
        /// The Secret and the configurations were read, and are correct now.
        Round = "round",
        /// One of them could not be read or written.
        Failure = "failure",
        /// The Secret was repaired.
        Repair = "repair",
        /// A configuration's `caBundle` was changed.
        Correction = "correction",
    }
}

/// The metrics of certificates.
#[derive(Debug, Clone, Default)]
pub struct CertificateMetrics {
    authorities: Series<Authority, Timestamp>,
    reloads: Counters<(Material, Reload)>,
    failing: Series<Material, Gauge>,
    upkeep: Counters<Upkeep>,
}

/// Reads the expiry of the serving certificate at each scrape, so that no copy
/// can become stale.
struct Expiry<F>(F);

impl<F> fmt::Debug for Expiry<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Expiry")
    }
}

impl CertificateMetrics {
    pub(super) fn register(
        registry: &mut Registry,
        expiry: impl Fn() -> Option<SystemTime> + Send + Sync + 'static,
    ) -> CertificateMetrics {
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "Expiry of the serving certificate; absent while there is none",
            Expiry(expiry),
        );
        CertificateMetrics {
            authorities: registered(
                registry,
                "ca_expiry_timestamp_seconds",
                "Expiry of a CA certificate; absent if there is none",
            ),
            reloads: registered(
                registry,
                "certificate_reloads",
                "Changes of the certificate files",
            ),
            failing: registered(
                registry,
                "certificate_reload_failing",
                "1 while the files are unusable and their previous content is in use",
            ),
            upkeep: registered(
                registry,
                "certificate_upkeep",
                "Work of podseal on a self-managed certificate",
            ),
        }
    }

    /// Sets when the certificate of a CA expires, if there is one.
    pub fn authority_expires(&self, authority: Authority, when: Option<SystemTime>) {
        self.authorities.of(authority).set(when);
    }

    /// Counts work on a self-managed certificate.
    pub fn count_upkeep(&self, what: Upkeep) {
        self.upkeep.of(what).inc();
    }

    /// How often this was done.
    pub fn upkeep_count(&self, what: Upkeep) -> u64 {
        self.upkeep.of(what).get()
    }

    /// Counts a change of the files whose new content is in use.
    pub fn reloaded(&self, what: Material) {
        self.reloads.of((what, Reload::Success)).inc();
    }

    /// Counts a problem with the files; call it once for each problem, not for each
    /// time that they are read.
    pub fn reload_failed(&self, what: Material) {
        self.reloads.of((what, Reload::Failed)).inc();
        self.failing.of(what).set(1);
    }

    /// Shows that the files are usable.
    pub fn in_order(&self, what: Material) {
        self.failing.of(what).set(0);
    }
}

impl<F: Fn() -> Option<SystemTime>> EncodeMetric for Expiry<F> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match (self.0)() {
            Some(expiry) => encoder.encode_gauge(&unix_seconds(expiry)),
            None => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
