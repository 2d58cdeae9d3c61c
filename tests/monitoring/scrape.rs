//! What a scrape of podseal holds.

use std::collections::BTreeMap;

/// A series and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    /// Its value in another scrape.
    pub(crate) fn value_in(&self, samples: &[Sample]) -> Option<f64> {
        let is_it = |other: &&Sample| (&other.name, &other.labels) == (&self.name, &self.labels);
        samples.iter().find(is_it).map(|sample| sample.value)
    }
}

/// The samples of an exposition in Prometheus' text format.
pub(crate) fn samples(exposition: &str) -> Vec<Sample> {
    let lines = exposition.lines().filter(|line| !line.starts_with('#'));
    lines.map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = series_parts(series);
    Sample {
        name,
        labels,
        value: value.parse().expect("a number"),
    }
}

/// The name and the labels of a series such as `name{label="value"}`.
pub(crate) fn series_parts(series: &str) -> (String, BTreeMap<String, String>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('}').split("\",");
    let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"").expect("a label and its value");
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), pairs.collect())
}
