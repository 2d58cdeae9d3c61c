//! CPU time, throughput and latency of a review, compared with two no-ops and, if one is
//! set, with a baseline.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::common::identity::Identity;
use super::common::server::Server;
use super::common::{program, say};
use super::comparison::{self, Compared};
use super::load::{Load, Outcome, Protocol, Until};
use super::noop::NoOp;
use super::options::Effort;
use super::reviews::{self, Reviews};
use super::turn::{Turn, median};

/// The names of the no-ops.
pub(crate) const CONSTANT: &str = "no-op: constant";
pub(crate) const PARSING: &str = "no-op: parse into Value";

/// The names of each podseal, by path. The baseline runs as two processes, whose
/// difference is noise.
const PODSEAL: [&str; 2] = ["podseal /mutate", "podseal /validate"];
const BASELINE: [&str; 2] = ["baseline /mutate", "baseline /validate"];
const BASELINE_AGAIN: [&str; 2] = ["baseline again /mutate", "baseline again /validate"];

/// The cost of a review.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cost {
    /// The subject.
    pub(crate) subject: &'static str,
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// CPU seconds of the process for 1,000 reviews.
    pub(crate) cpu_per_1000: f64,
    /// Responses per second at saturation.
    pub(crate) per_second: f64,
    /// The result at a quarter of that rate.
    pub(crate) at_a_quarter: Outcome,
}

/// All costs, and the comparison of podseal with the baseline.
#[derive(Debug, Serialize)]
pub(crate) struct Costs {
    /// For every subject and protocol.
    pub(crate) costs: Vec<Cost>,
    /// Empty without a baseline.
    pub(crate) compared: Vec<Compared>,
}

/// A subject and its load.
type Subject<'s> = (&'static str, Load<'s>);

/// A podseal with namespaces from a file, which requires no API server.
struct Podseal {
    server: Server,
    _namespaces: tempfile::NamedTempFile,
}

impl Podseal {
    fn start(binary: &Path, identity: &Identity, reviews: &Reviews) -> Podseal {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let namespace = reviews::namespace(reviews::NAMESPACE).to_string();
        std::fs::write(&file, namespace).expect("the file can be written");
        let mut command = program::podseal(binary, identity);
        command.arg("--namespaces").arg(file.path());
        let server = Server::start_pinned(&command);
        reviews.check(&server, identity);
        Podseal {
            server,
            _namespaces: file,
        }
    }

    fn subjects(&self, names: [&'static str; 2], reviews: &Reviews) -> [Subject<'_>; 2] {
        let [mutate, validate] = names;
        [
            (mutate, load(&self.server, "/mutate", reviews.mutate())),
            (
                validate,
                load(&self.server, "/validate", reviews.validate()),
            ),
        ]
    }
}

fn load<'s>(server: &'s Server, path: &'static str, body: std::path::PathBuf) -> Load<'s> {
    Load {
        server,
        path,
        body,
        protocol: Protocol::Http1,
    }
}

/// Measures all subjects over both protocols. They take turns, so that other load of the
/// machine affects them equally. The result is the median of the turns.
pub(crate) fn measure(effort: &Effort, identity: &Identity, reviews: &Reviews) -> Costs {
    let no_op = |no_op: NoOp| -> Command { no_op.command(identity) };
    let constant = Server::start_pinned(&no_op(NoOp::Constant));
    let parsing = Server::start_pinned(&no_op(NoOp::Parsing));
    let start = |binary: &Path| Podseal::start(binary, identity, reviews);
    let podseal = start(&program::binary());
    let baselines = program::baseline().map(|binary| (start(&binary), start(&binary)));
    let mut subjects = vec![
        (CONSTANT, load(&constant, "/", reviews.mutate())),
        (PARSING, load(&parsing, "/", reviews.mutate())),
    ];
    subjects.extend(podseal.subjects(PODSEAL, reviews));
    if let Some((baseline, again)) = &baselines {
        subjects.extend(baseline.subjects(BASELINE, reviews));
        subjects.extend(again.subjects(BASELINE_AGAIN, reviews));
    }
    let mut all = Costs {
        costs: Vec::new(),
        compared: Vec::new(),
    };
    for protocol in Protocol::ALL {
        for (_, load) in &mut subjects {
            load.protocol = protocol;
        }
        let turns = take_turns(effort, identity, &subjects);
        for ((subject, load), turns) in subjects.iter().zip(&turns) {
            all.costs.push(cost(effort, identity, subject, load, turns));
        }
        if baselines.is_some() {
            let of = |name| {
                let at = subjects.iter().position(|(subject, _)| *subject == name);
                &*turns[at.expect("it is a subject")]
            };
            for path in 0..2 {
                all.compared.extend(comparison::of(
                    subjects[2 + path].1.path,
                    protocol,
                    of(PODSEAL[path]),
                    of(BASELINE[path]),
                    of(BASELINE_AGAIN[path]),
                ));
            }
        }
    }
    all
}

/// The turns of each subject.
fn take_turns(effort: &Effort, identity: &Identity, subjects: &[Subject<'_>]) -> Vec<Vec<Turn>> {
    let mut turns = vec![Vec::new(); subjects.len()];
    let protocol = subjects[0].1.protocol;
    // A handshake takes as long as many reviews.
    let share = match protocol {
        Protocol::Http1NewConnections => 10,
        Protocol::Http1 | Protocol::Http2 => 1,
    };
    for turn in 0..=effort.turns {
        say(&format!("{protocol}: turn {turn}"));
        // Each turn begins with another subject, so that the order varies.
        for place in 0..subjects.len() {
            let at = (place + turn) % subjects.len();
            let measured = one_turn(&subjects[at].1, identity, effort.reviews / share);
            // The first run warms up memory and branch prediction.
            if turn > 0 {
                turns[at].push(measured);
            }
        }
    }
    turns
}

fn one_turn(load: &Load<'_>, identity: &Identity, reviews: u64) -> Turn {
    let before = load.server.cpu();
    let outcome = load.run(identity, Until::Requests(reviews));
    let used = load.server.cpu() - before;
    Turn {
        cpu_per_1000: used.as_secs_f64() * 1000.0 / reviews as f64,
        outcome,
        resident: load.server.memory().resident,
    }
}

fn cost(
    effort: &Effort,
    identity: &Identity,
    subject: &'static str,
    load: &Load<'_>,
    turns: &[Turn],
) -> Cost {
    let per_second = median(turns.iter().map(|turn| turn.outcome.per_second).collect());
    let quarter = per_second / 4.0;
    say(&format!("{}: {subject} at a quarter", load.protocol));
    let requests = (quarter * effort.seconds_at_a_quarter) as u64;
    Cost {
        subject,
        protocol: load.protocol,
        cpu_per_1000: median(turns.iter().map(|turn| turn.cpu_per_1000).collect()),
        per_second,
        at_a_quarter: load.run(identity, Until::Rate(requests, quarter)),
    }
}
