//! The figures, and their tables with goals.

use std::fmt;

use serde::Serialize;

use super::cluster::WithCluster;
use super::common::table::Table;
use super::comparison;
use super::cost::{CONSTANT, Cost, Costs, PARSING};
use super::load::{Outcome, Protocol};
use super::machine::Machine;

/// All measurements.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The machine, the date and the programs.
    pub(crate) machine: Machine,
    /// The cost of reviews.
    #[serde(flatten)]
    pub(crate) costs: Costs,
    /// The measurements with an API server.
    pub(crate) with_cluster: Option<WithCluster>,
    /// The size of the release binary in bytes.
    pub(crate) binary: u64,
}

/// Whether a figure meets its goal. It is only printed: on a slow machine, goals may be
/// missed.
struct Goal(&'static str, bool);

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Goal(goal, is_met) = self;
        write!(f, "{} {goal}", if *is_met { "✓" } else { "✗" })
    }
}

const MIB: f64 = 1024.0 * 1024.0;
/// Growth of less than this is noise of the allocator.
const FLAT: f64 = 1.0;

impl Report {
    /// All tables.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.reviews()];
        if !self.costs.compared.is_empty() {
            tables.push(comparison::table(&self.costs.compared));
        }
        tables.extend(self.with_cluster.as_ref().map(|it| self.others(it)));
        tables
    }

    /// The cost of a review, compared with the no-ops.
    fn reviews(&self) -> Table {
        let mut table = Table::of([
            "served",
            "protocol",
            "CPU of 1,000",
            ": constant",
            ": parsing",
            "reviews/s",
            ": constant",
            "p50, p99 at ¼",
            "goals",
        ]);
        for cost in &self.costs.costs {
            let constant = self.cost(CONSTANT, cost.protocol);
            let parsing = self.cost(PARSING, cost.protocol);
            let to_constant = cost.cpu_per_1000 / constant.cpu_per_1000;
            let to_parsing = cost.cpu_per_1000 / parsing.cpu_per_1000;
            let goals = [
                Goal("≤ 2.5 × constant", to_constant <= 2.5),
                Goal("< parsing", to_parsing < 1.0),
                Goal("p99 < 1 ms", cost.at_a_quarter.p99_ms < 1.0),
            ];
            let Outcome { p50_ms, p99_ms, .. } = cost.at_a_quarter;
            let quarter = format!("{p50_ms:.2}, {p99_ms:.2}");
            let is_podseal = ![CONSTANT, PARSING].contains(&cost.subject);
            let goals = goals.map(|goal| goal.to_string()).join(", ");
            table.row([
                cost.subject.to_owned(),
                cost.protocol.to_string(),
                format!("{:.3} s", cost.cpu_per_1000),
                format!("{to_constant:.2}"),
                format!("{to_parsing:.2}"),
                format!("{:.0}", cost.per_second),
                format!("{:.2}", cost.per_second / constant.per_second),
                format!("{quarter} ms"),
                goals.repeat(usize::from(is_podseal)),
            ]);
        }
        table
    }

    /// All other measurements.
    fn others(&self, cluster: &WithCluster) -> Table {
        let mut table = Table::of(["what", "measured", "goal"]);
        let mut row = |what: String, measured: String, goal: Option<Goal>| {
            let goal = goal.map_or_else(|| "–".to_owned(), |goal| goal.to_string());
            table.row([what, measured, goal]);
        };
        let memory = &cluster.memory;
        let resident = |at: usize| memory[at].1.resident as f64 / MIB;
        let (reviews, last) = memory[memory.len() - 1];
        let grown = resident(memory.len() - 1) - resident(1);
        row(
            format!(
                "resident memory, {} namespaces, {reviews} reviews",
                cluster.namespaces
            ),
            format!(
                "{:.1} MiB, of which {:.1} MiB are no files",
                resident(memory.len() - 1),
                last.anonymous as f64 / MIB
            ),
            Some(Goal("< 20 MiB", resident(memory.len() - 1) < 20.0)),
        );
        let all = memory.iter().map(|(reviews, memory)| {
            let mib = memory.resident as f64 / MIB;
            format!("{}k: {mib:.1}", reviews / 1000)
        });
        row(
            "the same, by reviews so far (MiB)".to_owned(),
            all.collect::<Vec<_>>().join(", "),
            Some(Goal("flat", grown < FLAT)),
        );
        row(
            "start to `/readyz` green, one namespace".to_owned(),
            format!("{:.0} ms", cluster.ready_ms),
            Some(Goal("< 100 ms", cluster.ready_ms < 100.0)),
        );
        row(
            format!(
                "start to `/readyz` green, {} namespaces",
                cluster.namespaces
            ),
            format!("{:.0} ms", cluster.ready_with_all_ms),
            None,
        );
        let binary = self.binary as f64 / MIB;
        row(
            "stripped release binary".to_owned(),
            format!("{binary:.1} MiB"),
            Some(Goal("< 14 MiB", binary < 14.0)),
        );
        let creation = &cluster.creation;
        for (what, without, with) in [
            ("p50", creation.without_p50_ms, creation.with_p50_ms),
            ("p99", creation.without_p99_ms, creation.with_p99_ms),
        ] {
            row(
                format!("pod create by the API server, {what}"),
                format!("{without:.2} ms, with podseal + {:.2} ms", with - without),
                None,
            );
        }
        table
    }

    fn cost(&self, subject: &str, protocol: Protocol) -> &Cost {
        let is_it = |cost: &&Cost| cost.subject == subject && cost.protocol == protocol;
        self.costs
            .costs
            .iter()
            .find(is_it)
            .expect("it was measured")
    }
}
