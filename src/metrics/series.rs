//! Series that exist from the start and are counted without a lock.
//!
//! A `Family` finds a metric under a lock, by a hash. [`Series`] does that once
//! for each combination of labels and keeps the metrics by index, so counting in a
//! review is one atomic addition.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry};

use super::label::{Labels, Pair};

/// A new metric, registered as `name`.
pub(super) fn registered<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// A metric for each combination of labels. Clones share their metrics.
#[derive(Debug, Clone)]
pub struct Series<L, M> {
    family: Family<Vec<Pair>, M>,
    /// The metrics of the family, in the order of [`Labels::index`].
    by_index: Arc<[M]>,
    labels: PhantomData<L>,
}

/// A counter for each combination of labels.
pub type Counters<L> = Series<L, Counter>;

impl<L: Labels, M: Clone + Default> Default for Series<L, M> {
    fn default() -> Self {
        let family = Family::<_, M>::default();
        let create = |labels: L| family.get_or_create_owned(&labels.pairs());
        Series {
            by_index: L::all().into_iter().map(create).collect(),
            family,
            labels: PhantomData,
        }
    }
}

impl<L: Labels, M> Series<L, M> {
    /// The metric of these labels.
    pub fn of(&self, labels: L) -> &M {
        &self.by_index[labels.index()]
    }
}

impl<L: Labels, M: Metric + TypedMetric> EncodeMetric for Series<L, M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

/// A counter for each known name, and one for all others.
#[derive(Debug, Clone)]
pub struct NamedCounters {
    label: &'static str,
    family: Family<[(&'static str, String); 1], Counter>,
    known: Arc<ArcSwap<Vec<(String, Counter)>>>,
    other: Counter,
}

/// The most names that are known. Without a limit, new names on every reload
/// would add series to Prometheus without end.
const NAMES: usize = 200;
/// The value for all other names.
const OTHER: &str = "other";

impl NamedCounters {
    /// Counters for `names`.
    pub fn new(label: &'static str, names: impl Iterator<Item = String>) -> NamedCounters {
        let family = Family::<[_; 1], Counter>::default();
        let named = NamedCounters {
            label,
            other: family.get_or_create_owned(&[(label, OTHER.to_owned())]),
            family,
            known: Arc::default(),
        };
        named.know(names);
        named
    }

    /// The family to register.
    pub(super) fn family(&self) -> impl Metric + use<> {
        self.family.clone()
    }

    /// Adds a counter for each new name. Known names stay: to Prometheus, a counter
    /// that disappears looks like a reset.
    pub fn know(&self, names: impl Iterator<Item = String>) {
        let mut known = Vec::clone(&self.known.load());
        for name in names {
            let is_new = name != OTHER && known.iter().all(|(known, _)| *known != name);
            if is_new && known.len() < NAMES {
                let labels = [(self.label, name.clone())];
                known.push((name, self.family.get_or_create_owned(&labels)));
            }
        }
        self.known.store(Arc::new(known));
    }

    /// Counts `many` for `name`.
    pub fn add(&self, name: &str, many: u64) {
        let known = self.known.load();
        let counter = known.iter().find(|(known, _)| known == name);
        counter
            .map_or(&self.other, |(_, counter)| counter)
            .inc_by(many);
    }
}

/// A point in time, which is not exposed while there is none.
#[derive(Debug, Clone, Default)]
pub struct Timestamp(Gauge<u64, AtomicU64>);

impl Timestamp {
    /// Sets the time.
    pub fn set(&self, moment: Option<SystemTime>) {
        // 0 means that there is none.
        self.0
            .set(moment.map_or(0, |moment| unix_seconds(moment).max(1)));
    }
}

impl EncodeMetric for Timestamp {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.0.get() {
            0 => Ok(()),
            seconds => encoder.encode_gauge(&seconds),
        }
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Timestamp {
    const TYPE: MetricType = MetricType::Gauge;
}

pub(super) fn unix_seconds(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
pub(super) mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    /// `metric`, called `x`, as it is exposed.
    pub(in crate::metrics) fn exposed(metric: impl Metric) -> String {
        let mut registry = Registry::default();
        registry.register("x", "X", metric);
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a string");
        text
    }

    #[test]
    fn a_name_counts_as_other_until_it_is_known() {
        let named = NamedCounters::new("profile", ["a".to_owned()].into_iter());
        named.add("a", 2);
        for odd in ["b", "", "a\"} 1\nforged 1", "other"] {
            named.add(odd, 1);
        }
        let text = exposed(named.family());
        assert!(text.contains("x_total{profile=\"a\"} 2\n"), "{text}");
        assert!(text.contains("x_total{profile=\"other\"} 4\n"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
        named.know(["b", "a", "other"].map(str::to_owned).into_iter());
        named.add("b", 7);
        let text = exposed(named.family());
        assert!(text.contains("x_total{profile=\"a\"} 2\n"), "{text}");
        assert!(text.contains("x_total{profile=\"b\"} 7\n"), "{text}");
    }

    #[test]
    fn the_number_of_names_is_limited() {
        let named = NamedCounters::new("profile", (0..1000).map(|number| format!("p{number}")));
        named.know((0..1000).map(|number| format!("q{number}")));
        assert_eq!(exposed(named.family()).lines().count(), 2 + NAMES + 2);
    }
}
