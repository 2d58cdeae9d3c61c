//! Compares the cost of reviews with that of another podseal, the baseline.
//!
//! A ratio is of one turn, in which both are measured one after the other. The same ratio
//! between two processes of the baseline is noise, so a ratio within that spread is not
//! significant.

use std::fmt;

use serde::Serialize;

use super::common::table::Table;
use super::load::Protocol;
use super::turn::{Turn, median};

/// One metric of one path over one protocol.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    /// `/mutate` or `/validate`.
    path: &'static str,
    protocol: Protocol,
    /// The metric. More is worse for each.
    metric: &'static str,
    /// The baseline's median.
    old: f64,
    /// podseal's median.
    new: f64,
    /// The ratio of podseal to the baseline.
    ratio: Ratio,
    /// The ratio of the second process of the baseline to the first.
    old_itself: Ratio,
}

/// A ratio over the turns.
#[derive(Debug, Clone, Copy, Serialize)]
struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

/// Reads a metric of a turn.
type Read = fn(&Turn) -> f64;

/// The metrics, with their units.
const METRICS: [(&str, Read); 4] = [
    ("CPU of 1,000, s", |turn| turn.cpu_per_1000),
    ("one at saturation, µs", |turn| {
        1e6 / turn.outcome.per_second
    }),
    ("p50 at saturation, ms", |turn| turn.outcome.p50_ms),
    ("resident memory, MiB", |turn| {
        turn.resident as f64 / (1024.0 * 1024.0)
    }),
];

/// Compares the turns of podseal and of both processes of the baseline.
pub(crate) fn of(
    path: &'static str,
    protocol: Protocol,
    new: &[Turn],
    old: &[Turn],
    again: &[Turn],
) -> impl Iterator<Item = Compared> {
    METRICS.into_iter().map(move |(metric, read)| {
        let all = |turns: &[Turn]| turns.iter().map(read).collect::<Vec<_>>();
        let (new, old, again) = (all(new), all(old), all(again));
        Compared {
            path,
            protocol,
            metric,
            ratio: Ratio::of(&new, &old),
            old_itself: Ratio::of(&again, &old),
            old: median([old, again].concat()),
            new: median(new),
        }
    })
}

impl Ratio {
    fn of(these: &[f64], those: &[f64]) -> Ratio {
        let ratios: Vec<_> = these.iter().zip(those).map(|(a, b)| a / b).collect();
        Ratio {
            least: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            most: ratios.iter().copied().fold(0.0, f64::max),
            median: median(ratios),
        }
    }

    /// The noise: how much worse either is than the other.
    fn spread(self) -> f64 {
        self.most.max(1.0 / self.least)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ratio {
            median,
            least,
            most,
        } = self;
        write!(f, "{median:.2} ({least:.2} to {most:.2})")
    }
}

/// The table of all comparisons.
pub(crate) fn table(compared: &[Compared]) -> Table {
    let mut table = Table::of([
        "path",
        "protocol",
        "what",
        "old",
        "new",
        "new : old",
        "old : itself",
        "no worse than the spread",
    ]);
    for one in compared {
        let is_within = one.ratio.median <= one.old_itself.spread();
        table.row([
            one.path.to_owned(),
            one.protocol.to_string(),
            one.metric.to_owned(),
            format!("{:.3}", one.old),
            format!("{:.3}", one.new),
            one.ratio.to_string(),
            one.old_itself.to_string(),
            format!(
                "{} {:.2}",
                if is_within { "✓ ≤" } else { "✗ >" },
                one.old_itself.spread()
            ),
        ]);
    }
    table
}
