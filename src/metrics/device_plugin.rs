//! All metrics of `podseal device-plugin`, and their registration.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::exposition::{MetricsFormat, encode};
use super::label::label;
use super::process::ThisProcess;
use super::registry::register_build;
use super::series::{Counters, registered};

label! {
    /// How a registration with the kubelet ended.
    RegistrationOutcome = "outcome" {
        /// The kubelet accepted it.
        Accepted = "accepted",
        /// The kubelet refused it.
        Refused = "refused",
        /// The kubelet's socket did not answer.
        Unreachable = "unreachable",
        /// The kubelet did not answer in time.
        TimedOut = "timed_out",
    }
}

label! {
    /// How an allocation to a container ended.
    AllocationOutcome = "outcome" {
        /// The container gets the device.
        Allocated = "allocated",
        /// The node does not have the device, or the kubelet named an unknown ID.
        Refused = "refused",
    }
}

/// The metrics of the device plugin.
#[derive(Debug)]
pub struct DevicePluginMetrics {
    /// 1 while the node has the device.
    pub device_healthy: Gauge,
    /// 1 while the kubelet watches the devices.
    pub registered: Gauge,
    registrations: Counters<RegistrationOutcome>,
    allocations: Counters<AllocationOutcome>,
    registry: Registry,
}

impl Default for DevicePluginMetrics {
    fn default() -> DevicePluginMetrics {
        let mut all = Registry::default();
        let podseal = all.sub_registry_with_prefix("podseal");
        register_build(podseal);
        let registry = podseal.sub_registry_with_prefix("device_plugin");
        DevicePluginMetrics {
            device_healthy: registered(
                registry,
                "device_healthy",
                "1 while the node has /dev/fuse and containers can get it",
            ),
            registered: registered(
                registry,
                "registered",
                "1 while the kubelet knows the plugin and watches its devices",
            ),
            registrations: registered(
                registry,
                "registrations",
                "Registrations with the kubelet, by outcome",
            ),
            allocations: registered(
                registry,
                "allocations",
                "Allocations to containers, by outcome",
            ),
            registry: {
                all.register_collector(Box::new(ThisProcess::new()));
                all
            },
        }
    }
}

impl DevicePluginMetrics {
    /// Counts a registration.
    pub fn registration_ended(&self, outcome: RegistrationOutcome) {
        self.registrations.of(outcome).inc();
    }

    /// Counts an allocation to a container.
    pub fn allocation_ended(&self, outcome: AllocationOutcome) {
        self.allocations.of(outcome).inc();
    }

    /// The current values of all metrics.
    pub fn exposition(&self, format: MetricsFormat) -> String {
        encode(&self.registry, format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_exposed_from_zero_and_counts_its_own_outcome() {
        let metrics = DevicePluginMetrics::default();
        metrics.device_healthy.set(1);
        metrics.registration_ended(RegistrationOutcome::Refused);
        metrics.allocation_ended(AllocationOutcome::Allocated);
        let text = metrics.exposition(MetricsFormat::Prometheus);
        let series: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("podseal_device_plugin_"))
            .collect();
        let expected = [
            "device_healthy 1",
            "registered 0",
            "registrations_total{outcome=\"accepted\"} 0",
            "registrations_total{outcome=\"refused\"} 1",
            "registrations_total{outcome=\"unreachable\"} 0",
            "registrations_total{outcome=\"timed_out\"} 0",
            "allocations_total{outcome=\"allocated\"} 1",
            "allocations_total{outcome=\"refused\"} 0",
        ];
        let mut sorted = series.clone();
        sorted.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(sorted, expected, "{text}");
        assert!(text.contains("podseal_build_info{"), "{text}");
    }
}
