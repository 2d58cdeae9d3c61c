//! Series over time, in the notation of promtool's tests: a value a minute.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scrape::Sample;
use crate::site::{NODE_LABEL, SITE, TARGET_LABELS};

/// The pods of the podseals.
pub(crate) const PODS: [&str; 2] = ["podseal-5d9c7-a", "podseal-5d9c7-b"];

/// The pods of the device plugin, each of a node.
pub(crate) const PLUGINS: [(&str, &str); 2] =
    [("podseal-fuse-x", "node-x"), ("podseal-fuse-y", "node-y")];

/// A series of a target, and its values.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) values: String,
}

/// The labels that Prometheus gives to what it scrapes from `pod`.
pub(crate) fn target(pod: &str) -> BTreeMap<String, String> {
    let value = |label: &str| match label {
        "container" | "job" | "namespace" => "podseal".to_owned(),
        "endpoint" => "status".to_owned(),
        "instance" => format!("{pod}:8080"),
        _ => pod.to_owned(),
    };
    TARGET_LABELS
        .map(|label| (label.to_owned(), value(label)))
        .into()
}

/// The same of the device plugin on a node.
pub(crate) fn plugin_target((pod, node): (&str, &str)) -> BTreeMap<String, String> {
    let mut labels = target(pod);
    let own = [("container", "device-plugin"), ("job", "podseal-fuse")];
    for (label, value) in own.into_iter().chain([(NODE_LABEL, node)]) {
        labels.insert(label.to_owned(), value.to_owned());
    }
    labels
}

/// What Prometheus has of `pod`: `samples`, and `up`, each with what `values`
/// makes of it.
pub(crate) fn of_pod(
    pod: &str,
    samples: &[Sample],
    values: impl Fn(&Sample) -> String,
) -> Vec<Series> {
    of_target(&target(pod), samples, values)
}

/// Device plugins that nothing happens to.
pub(crate) fn plugins(minutes: u32) -> Vec<Series> {
    let of_node = |plugin: &(&str, &str)| {
        of_target(&plugin_target(*plugin), &SITE.plugin, |sample| {
            still(sample.value, minutes)
        })
    };
    PLUGINS.iter().flat_map(of_node).collect()
}

fn of_target(
    target: &BTreeMap<String, String>,
    samples: &[Sample],
    values: impl Fn(&Sample) -> String,
) -> Vec<Series> {
    let up = Sample {
        name: "up".to_owned(),
        labels: BTreeMap::new(),
        value: 1.0,
    };
    let series = |sample: &Sample| {
        let mut labels = target.clone();
        labels.extend(sample.labels.clone());
        Series {
            name: sample.name.clone(),
            labels,
            value: sample.value,
            values: values(sample),
        }
    };
    samples.iter().chain([&up]).map(series).collect()
}

/// As many times the same.
pub(crate) fn still(value: f64, minutes: u32) -> String {
    format!("{value}x{minutes}")
}

/// Two replicas that nothing happens to.
pub(crate) fn unmoved(samples: impl Fn(usize) -> &'static [Sample], minutes: u32) -> Vec<Series> {
    let pods = PODS.iter().enumerate();
    pods.flat_map(|(index, pod)| of_pod(pod, samples(index), |sample| still(sample.value, minutes)))
        .collect()
}

/// From idle by way of busy to troubled, each reached in ten minutes; and device plugins whose
/// nodes lack the device.
pub(crate) fn driven() -> Vec<Series> {
    let replicas = PODS.iter().zip(&SITE.replicas);
    let all = replicas.flat_map(|(pod, replica)| {
        of_pod(pod, &replica.troubled, |last| {
            let earlier = [&replica.idle, &replica.busy].map(|samples| last.value_in(samples));
            let steps = [earlier[0], earlier[1], Some(last.value)];
            let steps = steps.map(|value| value.unwrap_or(last.value));
            let values = steps.windows(2).flat_map(|pair| {
                let step = (pair[1] - pair[0]) / 10.0;
                (0..10).map(move |minute| pair[0] + step * f64::from(minute))
            });
            let values: Vec<_> = values
                .chain([last.value])
                .map(|value| value.to_string())
                .collect();
            values.join(" ")
        })
    });
    let without_device = plugins(20).into_iter().map(|series| Series {
        values: match series.name.ends_with("_device_healthy") {
            true => still(0.0, 20),
            false => series.values,
        },
        ..series
    });
    all.chain(without_device).collect()
}

impl Series {
    /// As an `input_series` of promtool.
    pub(crate) fn input(&self) -> Value {
        let labels = self
            .labels
            .iter()
            .map(|(label, value)| format!("{label}={value:?}"));
        let labels: Vec<_> = labels.collect();
        json!({"series": format!("{}{{{}}}", self.name, labels.join(",")), "values": self.values})
    }
}
