//! The cost of serving, for `make bench`: CPU time, throughput and latency compared with
//! two no-ops, memory, startup, and how much longer pod creation takes.
//!
//! The benchmark only asserts that all responses are correct; the output shows which
//! goals are met.
//!
//! | variable | what it does |
//! |---|---|
//! | `BENCH_PODSEAL` | measures this program instead of the one built with the benchmark |
//! | `BENCH_BASELINE` | compares with this other podseal, in the same turns, without the measurements that require an API server |
//! | `BENCH_QUICK` | makes a short run, to check that the benchmark works |
//! | `BENCH_JSON` | writes the figures to this file as JSON; `--json` prints them |

use std::path::PathBuf;

use common::identity::Identity;
use common::program::{baseline, binary};
use machine::Machine;
use options::{FULL, QUICK, is_set};
use report::Report;
use reviews::Reviews;

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod comparison;
mod cost;
mod creation;
mod load;
mod machine;
mod noop;
mod options;
mod report;
mod reviews;
mod turn;

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
