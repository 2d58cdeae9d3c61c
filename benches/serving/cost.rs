//! CPU time, throughput and latency of a review, beside two no-ops'.

use std::io::Write;
use std::process::Command;

use serde::Serialize;

use super::Effort;
use super::identity::Identity;
use super::load::{Load, Outcome, Protocol, Until};
use super::noop::NoOp;
use super::reviews::{self, Reviews};
use super::server::Server;

/// What is measured, in the order it is told.
pub(crate) const SUBJECTS: [&str; 4] = [
    "no-op: constant",
    "no-op: parse into Value",
    "podseal /mutate",
    "podseal /validate",
];

/// What a review costs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cost {
    /// One of [`SUBJECTS`].
    pub(crate) subject: &'static str,
    /// How it was asked.
    pub(crate) protocol: Protocol,
    /// CPU seconds of the process for 1,000 reviews.
    pub(crate) cpu_per_1000: f64,
    /// Answers in a second, when asked as fast as it answers.
    pub(crate) per_second: f64,
    /// What came of asking at a quarter of that rate.
    pub(crate) at_a_quarter: Outcome,
}

/// Starts podseal with namespaces from a file, where no API server is needed.
fn podseal(identity: &Identity) -> (Server, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let namespace = reviews::namespace(reviews::NAMESPACE).to_string();
    std::fs::write(&file, namespace).expect("the file can be written");
    let mut command = super::podseal(identity);
    command.arg("--namespaces").arg(file.path());
    (Server::start(&command), file)
}

/// Measures all subjects by both protocols. They take turns, so that whatever
/// else the machine does meets them alike; of the turns the median counts.
pub(crate) fn measure(effort: &Effort, identity: &Identity, reviews: &Reviews) -> Vec<Cost> {
    let no_op = |no_op: NoOp| -> Command { no_op.command(identity) };
    let constant = Server::start(&no_op(NoOp::Constant));
    let parsing = Server::start(&no_op(NoOp::Parsing));
    let (podseal, _namespaces) = podseal(identity);
    reviews.check(&podseal, identity);
    let load = |server, path, body| Load {
        server,
        path,
        body,
        protocol: Protocol::Http1,
    };
    let loads = [
        load(&constant, "/", reviews.mutate()),
        load(&parsing, "/", reviews.mutate()),
        load(&podseal, "/mutate", reviews.mutate()),
        load(&podseal, "/validate", reviews.validate()),
    ];
    let by = |protocol| {
        let loads = loads.clone().map(|load| Load { protocol, ..load });
        by_protocol(effort, identity, &loads)
    };
    [Protocol::Http1, Protocol::Http2].map(by).concat()
}

fn by_protocol(effort: &Effort, identity: &Identity, loads: &[Load<'_>; 4]) -> Vec<Cost> {
    let mut turns = [const { Vec::new() }; 4];
    for turn in 0..=effort.turns {
        say(&format!("{}: turn {turn}", loads[0].protocol));
        for (load, turns) in loads.iter().zip(&mut turns) {
            let measured = one_turn(load, identity, effort.reviews);
            // In the first one pages are touched and branches are learned.
            if turn > 0 {
                turns.push(measured);
            }
        }
    }
    let mut costs = Vec::new();
    for ((load, turns), subject) in loads.iter().zip(turns).zip(SUBJECTS) {
        let (cpu, per_second): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
        let per_second = median(per_second);
        let quarter = per_second / 4.0;
        say(&format!("{}: {subject} at a quarter", load.protocol));
        let requests = (quarter * effort.seconds_at_a_quarter) as u64;
        costs.push(Cost {
            subject,
            protocol: load.protocol,
            cpu_per_1000: median(cpu),
            per_second,
            at_a_quarter: load.run(identity, Until::Rate(requests, quarter)),
        });
    }
    costs
}

/// CPU seconds for 1,000 reviews, and reviews in a second.
fn one_turn(load: &Load<'_>, identity: &Identity, reviews: u64) -> (f64, f64) {
    let before = load.server.cpu();
    let outcome = load.run(identity, Until::Requests(reviews));
    let used = load.server.cpu() - before;
    (
        used.as_secs_f64() * 1000.0 / reviews as f64,
        outcome.per_second,
    )
}

/// The middle of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Tells whoever waits what is being measured.
pub(crate) fn say(what: &str) {
    // A closed standard error is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "measuring {what}");
}
