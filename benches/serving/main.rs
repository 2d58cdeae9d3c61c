//! What serving costs, as `make bench` prints it: CPU time, throughput and
//! latency beside two no-ops, memory, the start, and what a pod's creation
//! takes longer.
//!
//! Nothing here is asserted but that every request was answered rightly; the
//! goals are printed beside the figures.
//!
//! | variable | what it does |
//! |---|---|
//! | `BENCH_PODSEAL` | measures this program, and not the one built beside |
//! | `BENCH_BASELINE` | compares it with this other podseal, in the same turns, and leaves out what takes an API server |
//! | `BENCH_QUICK` | makes a short run, to see that everything works |
//! | `BENCH_JSON` | writes the figures into this file; `--json` prints them |

use std::path::{Path, PathBuf};
use std::process::Command;

use identity::Identity;
use machine::Machine;
use report::Report;
use reviews::Reviews;

mod cluster;
mod comparison;
mod cost;
mod creation;
mod identity;
mod load;
mod machine;
mod noop;
mod report;
mod reviews;
mod server;
mod table;

/// How much is measured.
struct Effort {
    /// Reviews in a turn.
    reviews: u64,
    /// Turns that count.
    turns: usize,
    /// Seconds at a quarter of saturation.
    seconds_at_a_quarter: f64,
    /// Namespaces in the cache.
    namespaces: usize,
    /// Reviews after which the memory is looked at.
    reviews_in_memory: u64,
    /// Starts of podseal.
    starts: usize,
    /// Pods created of each kind.
    pods: usize,
}

const FULL: Effort = Effort {
    reviews: 20_000,
    turns: 5,
    seconds_at_a_quarter: 5.0,
    namespaces: 10_000,
    reviews_in_memory: 200_000,
    starts: 15,
    pods: 500,
};

const QUICK: Effort = Effort {
    reviews: 2_000,
    turns: 1,
    seconds_at_a_quarter: 1.0,
    namespaces: 200,
    reviews_in_memory: 8_000,
    starts: 3,
    pods: 50,
};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == noop::ARGUMENT
    {
        return noop::run(rest);
    }
    let quick = is_set("BENCH_QUICK");
    let effort = if quick { QUICK } else { FULL };
    let identity = Identity::new();
    let reviews = Reviews::write();
    let report = Report {
        machine: Machine::this(quick),
        costs: cost::measure(&effort, &identity, &reviews),
        with_cluster: baseline()
            .is_none()
            .then(|| cluster::measure(&effort, &identity, &reviews)),
        binary: std::fs::metadata(binary()).expect("podseal is built").len(),
    };
    let json = serde_json::to_string_pretty(&report).expect("figures are JSON");
    if let Some(path) = std::env::var_os("BENCH_JSON") {
        std::fs::write(&path, &json).unwrap_or_else(|error| {
            panic!("BENCH_JSON {}: {error}", PathBuf::from(path).display())
        });
    }
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{json}");
        return;
    }
    let tables = report.tables();
    println!("\n{}\n", report.machine.line());
    for table in &tables {
        println!("{}", table.aligned());
    }
    println!("As Markdown:\n");
    for table in &tables {
        println!("{}", table.markdown());
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The program that is measured. `make bench` names the one that users get: the
/// one that cargo builds along with a bench has features of the tests' crates.
fn binary() -> PathBuf {
    program("BENCH_PODSEAL").unwrap_or_else(|| env!("CARGO_BIN_EXE_podseal").into())
}

/// The program that it is compared with.
fn baseline() -> Option<PathBuf> {
    program("BENCH_BASELINE")
}

fn program(variable: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty());
    named.map(PathBuf::from)
}

/// `podseal serve` on a free port, with a log that a program reads.
fn podseal(binary: &Path, identity: &Identity) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--log-format", "json"]);
    command.args(["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"]);
    command.arg("--tls-cert-file").arg(identity.certificate());
    command.arg("--tls-private-key-file").arg(identity.key());
    command
}
