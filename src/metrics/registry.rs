//! Everything that is counted, and its registration.

use std::time::SystemTime;

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::certificates::CertificateMetrics;
use super::connections::ConnectionMetrics;
use super::exposition::{MetricsFormat, into_prometheus};
use super::namespaces::{self, CacheState, LookUps};
use super::process::ThisProcess;
use super::profiles::ProfileMetrics;
use super::requests::RequestMetrics;
use admission::profile::Profiles;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Requests, and what was decided.
    pub requests: RequestMetrics,
    /// Connections and handshakes.
    pub connections: ConnectionMetrics,
    /// Certificates and their files.
    pub certificates: CertificateMetrics,
    /// Profiles and their files.
    pub profiles: ProfileMetrics,
    /// Look-ups of namespaces.
    pub look_ups: LookUps,
    registry: Registry,
}

impl Metrics {
    /// Figures that are all zero, of a podseal that knows `profiles` and whose
    /// serving certificate expires at what `expiry` says, if there is one.
    pub fn new(
        profiles: &Profiles,
        expiry: impl Fn() -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Metrics {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("podseal");
        let build = vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", env!("PODSEAL_COMMIT")),
        ];
        registry.register("build", "The running build", Info::new(build));
        let (requests, connections) = (
            RequestMetrics::register(registry, profiles),
            ConnectionMetrics::register(registry),
        );
        let certificates = CertificateMetrics::register(registry, expiry);
        let by_name = requests.changes.clone();
        let registry = all.sub_registry_with_prefix("podseal");
        let of_profiles = ProfileMetrics::register(registry, by_name);
        let look_ups = namespaces::register_look_ups(registry);
        all.register_collector(Box::new(ThisProcess::new()));
        Metrics {
            requests,
            connections,
            certificates,
            profiles: of_profiles,
            look_ups,
            registry: all,
        }
    }

    /// Shows the cache of namespaces as well, which `read` reads at each scrape.
    pub fn show_namespace_cache(&mut self, read: impl Fn() -> CacheState + Send + Sync + 'static) {
        namespaces::register_cache(self.registry.sub_registry_with_prefix("podseal"), read);
    }

    /// All figures, as they are now.
    pub fn exposition(&self, format: MetricsFormat) -> String {
        let mut open = String::with_capacity(32 * 1024);
        text::encode(&mut open, &self.registry).expect("a string takes what is written to it");
        match format {
            MetricsFormat::OpenMetrics => open,
            MetricsFormat::Prometheus => into_prometheus(&open),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::certificates::{Authority, Material};
    use crate::metrics::connections::{CloseReason, HandshakeFailure};
    use crate::metrics::requests::{Refused, Shed};

    fn metrics() -> Metrics {
        let mut metrics = Metrics::new(Profiles::built_in(), || None);
        metrics.show_namespace_cache(|| CacheState {
            namespaces: 1,
            is_fresh: true,
            age: None,
        });
        metrics
    }

    /// The value of a series, as text.
    fn value(metrics: &Metrics, series: &str) -> Option<String> {
        let text = metrics.exposition(MetricsFormat::Prometheus);
        let value = |line: &str| Some(line.strip_prefix(series)?.strip_prefix(' ')?.to_owned());
        text.lines().find_map(value)
    }

    #[test]
    fn what_is_counted_shows_under_its_own_labels() {
        let metrics = metrics();
        metrics.requests.shed(Shed::Memory);
        metrics.requests.refused(Refused::Truncated);
        let in_flight = (metrics.requests.begin(), metrics.requests.begin());
        metrics.connections.opened().closes(CloseReason::Drain);
        let open = metrics.connections.opened();
        let failure = HandshakeFailure::PeerAlert;
        metrics.connections.handshake_failed(failure);
        metrics.certificates.reloaded(Material::ClientCa);
        metrics.certificates.reload_failed(Material::Serving);
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let certificates = &metrics.certificates;
        certificates.authority_expires(Authority::Next, Some(moment));
        for (series, expected) in [
            ("shed_total{reason=\"memory\"}", "1"),
            ("shed_total{reason=\"concurrency\"}", "0"),
            ("refused_requests_total{reason=\"truncated\"}", "1"),
            ("requests_in_flight", "2"),
            ("open_connections", "1"),
            ("connections_total", "2"),
            ("connections_closed_total{reason=\"drain\"}", "1"),
            ("connections_closed_total{reason=\"peer\"}", "0"),
            ("tls_handshake_failures_total{reason=\"peer_alert\"}", "1"),
            ("namespaces_cached", "1"),
            ("namespace_cache_fresh", "1"),
            ("namespace_lookups_total{outcome=\"timed_out\"}", "0"),
            (
                "certificate_reloads_total{certificate=\"client_ca\",result=\"success\"}",
                "1",
            ),
            (
                "certificate_reloads_total{certificate=\"serving\",result=\"failed\"}",
                "1",
            ),
            ("certificate_reload_failing{certificate=\"serving\"}", "1"),
            ("certificate_reload_failing{certificate=\"client_ca\"}", "0"),
            ("ca_expiry_timestamp_seconds{ca=\"next\"}", "9"),
        ] {
            let found = value(&metrics, &format!("podseal_{series}"));
            assert_eq!(found.as_deref(), Some(expected), "{series}");
        }
        let age = value(&metrics, "podseal_namespace_cache_age_seconds");
        assert_eq!(age, None, "it has none yet");

        drop((in_flight, open));
        certificates.authority_expires(Authority::Next, None);
        certificates.in_order(Material::Serving);
        let shown = |series: &str| value(&metrics, &format!("podseal_{series}"));
        assert_eq!(shown("requests_in_flight").as_deref(), Some("0"));
        assert_eq!(shown("open_connections").as_deref(), Some("0"));
        assert_eq!(shown("ca_expiry_timestamp_seconds{ca=\"next\"}"), None);
        let failing = shown("certificate_reload_failing{certificate=\"serving\"}");
        assert_eq!(failing.as_deref(), Some("0"));
    }

    #[test]
    fn where_there_is_no_certificate_none_expires() {
        let text = metrics().exposition(MetricsFormat::Prometheus);
        assert!(!text.contains("\npodseal_certificate_expiry_timestamp_seconds"));
        assert!(text.contains("# TYPE podseal_certificate_expiry_timestamp_seconds gauge\n"));
    }
}
