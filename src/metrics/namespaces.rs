//! The cache of namespaces: its size, its age, and what was asked of it. All
//! read where it stands, at each scrape.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::namespaces::look_up::LookUp;
use crate::namespaces::source::Namespaces;

/// Registers the figures of `namespaces`.
pub(super) fn register(registry: &mut Registry, namespaces: Namespaces) {
    let figure = |what| Figure {
        what,
        namespaces: namespaces.clone(),
    };
    registry.register(
        "namespaces_cached",
        "Opted-in namespaces in the cache; with --namespaces, all that stand in the file",
        figure(What::Cached),
    );
    registry.register(
        "namespace_cache_fresh",
        "1 while the cache answers; 0 while every review asks the API server instead, because \
         the watch has not proved to be alive",
        figure(What::Fresh),
    );
    registry.register(
        "namespace_cache_age_seconds",
        "Time since the cache was certainly complete; absent before the first list, and with \
         --namespaces",
        figure(What::Age),
    );
    registry.register(
        "namespace_lookups",
        "Look-ups of a namespace for a review, by outcome",
        figure(What::LookUps),
    );
}

#[derive(Clone, Copy)]
enum What {
    Cached,
    Fresh,
    Age,
    LookUps,
}

struct Figure {
    what: What,
    namespaces: Namespaces,
}

impl fmt::Debug for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Figure")
    }
}

impl EncodeMetric for Figure {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let namespaces = &self.namespaces;
        match self.what {
            What::Cached => encoder.encode_gauge(&(namespaces.cached() as u64)),
            What::Fresh => encoder.encode_gauge(&u64::from(namespaces.fresh())),
            What::Age => match namespaces.age() {
                Some(age) => encoder.encode_gauge(&age.as_secs_f64()),
                None => Ok(()),
            },
            What::LookUps => LookUp::ALL.iter().try_for_each(|how| {
                let count = namespaces.look_ups().map_or(0, |all| all.count(*how));
                encoder
                    .encode_family(&[("outcome", how.name())])?
                    .encode_counter::<NoLabelSet, _, u64>(&count, None)
            }),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self.what {
            What::LookUps => MetricType::Counter,
            What::Cached | What::Fresh | What::Age => MetricType::Gauge,
        }
    }
}
