//! Certificates: when they expire, and whether their files are in order.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::{Label, label};
use super::series::{Counters, Timestamps, unix_seconds};

label! {
    /// An authority whose certificate can expire.
    Authority = "ca" {
        /// It issues the serving certificate.
        Current = "current",
        /// It will, once every API server trusts it.
        Next = "next",
        /// It did, and is still trusted.
        Previous = "previous",
        /// It issues the clients' certificates: of `--client-ca`, the first that
        /// expires.
        Client = "client",
    }
}

label! {
    /// What is read from files.
    Material = "certificate" {
        /// The serving certificate and its key.
        Serving = "serving",
        /// The authorities of clients.
        ClientCa = "client_ca",
    }
}

label! {
    /// What became of a change of the files.
    Reload = "result" {
        /// It is in use.
        Success = "success",
        /// It cannot be used, and what was in use still is.
        Failed = "failed",
    }
}

label! {
    /// What the upkeep of a self-managed certificate does.
    Upkeep = "what" {
        /// The Secret and the configurations were read, and found or set right.
        Round = "round",
        /// One of them could not be read or written.
        Failure = "failure",
        /// The Secret was put right.
        Repair = "repair",
        /// A configuration's `caBundle` was changed.
        Correction = "correction",
    }
}

/// The figures of certificates.
#[derive(Debug, Clone, Default)]
pub struct CertificateMetrics {
    authorities: Timestamps<(Authority,)>,
    reloads: Counters<(Material, Reload)>,
    failing: ReloadFailing,
    upkeep: Counters<(Upkeep,)>,
}

#[derive(Debug, Clone, Default)]
struct ReloadFailing([Gauge; Material::ALL.len()]);

/// Reads when the serving certificate expires, so that there is no copy to keep
/// in step.
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
        let certificates = CertificateMetrics::default();
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the serving certificate expires; absent while there is none",
            Expiry(expiry),
        );
        registry.register(
            "ca_expiry_timestamp_seconds",
            "When an authority's certificate expires; absent where there is none",
            certificates.authorities.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Changes of the certificates' files",
            certificates.reloads.clone(),
        );
        registry.register(
            "certificate_reload_failing",
            "1 while the files cannot be used and what they held before is in use",
            certificates.failing.clone(),
        );
        registry.register(
            "certificate_upkeep",
            "What the upkeep of a self-managed certificate has done",
            certificates.upkeep.clone(),
        );
        certificates
    }

    /// An authority's certificate expires then; or there is none.
    pub fn authority_expires(&self, authority: Authority, when: Option<SystemTime>) {
        self.authorities.set((authority,), when);
    }

    /// The upkeep of a self-managed certificate did this.
    pub fn count_upkeep(&self, what: Upkeep) {
        self.upkeep.count((what,));
    }

    /// How often it did.
    pub fn upkeep_count(&self, what: Upkeep) -> u64 {
        self.upkeep.get((what,))
    }

    /// The files changed, and what they hold is in use.
    pub fn reloaded(&self, what: Material) {
        self.reloads.count((what, Reload::Success));
    }

    /// The files cannot be used: one problem, counted once, however often they
    /// are read again.
    pub fn reload_failed(&self, what: Material) {
        self.reloads.count((what, Reload::Failed));
        self.failing.0[what.index()].set(1);
    }

    /// The files can be used.
    pub fn in_order(&self, what: Material) {
        self.failing.0[what.index()].set(0);
    }
}

impl EncodeMetric for ReloadFailing {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (material, gauge) in Material::ALL.iter().zip(&self.0) {
            let labels = [(Material::NAME, material.value())];
            encoder.encode_family(&labels)?.encode_gauge(&gauge.get())?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
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
