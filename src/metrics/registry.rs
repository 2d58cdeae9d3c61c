//! All metrics of `podseal serve` and their registration.

use std::time::SystemTime;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::certificates::CertificateMetrics;
use super::connections::ConnectionMetrics;
use super::exposition::{MetricsFormat, encode};
use super::log::{self, LogFigures};
use super::namespaces::{self, CacheState, LookUps};
use super::pod_events::PodEventMetrics;
use super::process::ThisProcess;
use super::profiles::ProfileMetrics;
use super::requests::RequestMetrics;
use admission::profile::Profiles;

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    /// Requests and decisions.
    pub requests: RequestMetrics,
    /// Connections and handshakes.
    pub connections: ConnectionMetrics,
    /// Certificates and their files.
    pub certificates: CertificateMetrics,
    /// Profiles and their files.
    pub profiles: ProfileMetrics,
    /// Look-ups of namespaces.
    pub look_ups: LookUps,
    /// Events on pods.
    pub pod_events: PodEventMetrics,
    registry: Registry,
}

impl Metrics {
    /// Metrics that start at zero. `profiles` are the profiles at the start, and
    /// `expiry` returns when the serving certificate expires, if there is one.
    pub fn new(
        profiles: &Profiles,
        expiry: impl Fn() -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Metrics {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("podseal");
        register_build(registry);
        let requests = RequestMetrics::register(registry, profiles);
        let connections = ConnectionMetrics::register(registry);
        let certificates = CertificateMetrics::register(registry, expiry);
        let profiles = ProfileMetrics::register(registry, requests.changes.clone());
        let look_ups = namespaces::register_look_ups(registry);
        let pod_events = PodEventMetrics::register(registry);
        all.register_collector(Box::new(ThisProcess::new()));
        Metrics {
            requests,
            connections,
            certificates,
            profiles,
            look_ups,
            pod_events,
            registry: all,
        }
    }

    /// Adds the cache of namespaces, whose state `read` returns at each scrape.
    pub fn show_namespace_cache(&mut self, read: impl Fn() -> CacheState + Send + Sync + 'static) {
        namespaces::register_cache(self.registry.sub_registry_with_prefix("podseal"), read);
    }

    /// Adds the log and the audit log, whose figures `read` returns at each scrape.
    pub fn show_log(&mut self, read: impl Fn() -> LogFigures + Send + Sync + 'static) {
        log::register(self.registry.sub_registry_with_prefix("podseal"), read);
    }

    /// The current values of all metrics.
    pub fn exposition(&self, format: MetricsFormat) -> String {
        encode(&self.registry, format)
    }
}

/// Registers the running build.
pub(super) fn register_build(registry: &mut Registry) {
    let build = vec![
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", env!("PODSEAL_COMMIT")),
    ];
    registry.register("build", "The running build", Info::new(build));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use admission::decision::record::Webhook;
    use admission::namespace::Mode;
    use admission::standards::{Family, Level};

    use super::*;
    use crate::metrics::certificates::{Authority, Material, Reload, Upkeep};
    use crate::metrics::connections::{CloseReason, HandshakeFailure};
    use crate::metrics::label::Labels;
    use crate::metrics::namespaces::LookUp;
    use crate::metrics::pod_events::PodEventOutcome;
    use crate::metrics::requests::{DecisionLabel, Operation, Refused, Shed};

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
    fn every_series_is_exposed_once_from_zero() {
        fn at_zero<L: Labels>(name: &str) -> Vec<String> {
            let series = L::all().into_iter().map(|labels| {
                let pair = |(label, value): (_, _)| format!("{label}=\"{value}\"");
                Vec::from_iter(labels.pairs().into_iter().map(pair)).join(",")
            });
            series
                .map(|labels| format!("podseal_{name}{{{labels}}} 0"))
                .collect()
        }
        let single = [
            "connections_total",
            "open_connections",
            "requests_in_flight",
        ]
        .into_iter()
        .chain(["profiles_reload_failing"])
        .map(|name| format!("podseal_{name} 0"));
        let names = Profiles::built_in()
            .iter()
            .map(|profile| profile.name.as_str());
        let changes = names
            .chain(["other"])
            .map(|name| format!("podseal_changes_total{{profile=\"{name}\"}} 0"));
        let labelled = [
            at_zero::<((Webhook, Operation), (DecisionLabel, Mode))>("requests_total"),
            at_zero::<Webhook>("request_duration_seconds_count"),
            at_zero::<(Family, Level)>("violations_total"),
            at_zero::<admission::cautions::Id>("cautions_total"),
            at_zero::<Refused>("refused_requests_total"),
            at_zero::<Shed>("shed_total"),
            at_zero::<CloseReason>("connections_closed_total"),
            at_zero::<HandshakeFailure>("tls_handshake_failures_total"),
            at_zero::<(Material, Reload)>("certificate_reloads_total"),
            at_zero::<Material>("certificate_reload_failing"),
            at_zero::<Upkeep>("certificate_upkeep_total"),
            at_zero::<Reload>("profiles_reloads_total"),
            at_zero::<LookUp>("namespace_lookups_total"),
            at_zero::<PodEventOutcome>("pod_events_total"),
        ];
        let expected = labelled.into_iter().flatten().chain(single).chain(changes);

        let metrics = Metrics::new(Profiles::built_in(), || None);
        let text = metrics.exposition(MetricsFormat::Prometheus);
        let exposed: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("podseal_") && !line.starts_with("podseal_build"))
            // The tests of durations check these.
            .filter(|line| !line.contains("_bucket{") && !line.contains("_sum{"))
            .collect();
        let distinct: BTreeSet<_> = exposed.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(distinct.len(), exposed.len(), "{text}");
        assert_eq!(distinct, expected.collect());
    }

    #[test]
    fn each_event_is_counted_under_its_own_labels() {
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
    fn without_a_certificate_no_expiry_is_exposed() {
        let text = metrics().exposition(MetricsFormat::Prometheus);
        assert!(!text.contains("\npodseal_certificate_expiry_timestamp_seconds"));
        assert!(text.contains("# TYPE podseal_certificate_expiry_timestamp_seconds gauge\n"));
    }
}
