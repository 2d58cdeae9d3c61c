//! A large fleet, for `make bench-fleet`: namespaces that live for a minute, under a
//! namespace rule, and many that have nothing to do with podseal; with a real API server.
//!
//! It only asserts that what it does succeeds; the table shows which goals are met.
//!
//! | argument | what it sets |
//! |---|---|
//! | `--seconds N` | how long namespaces come and go (300) |
//! | `--rate N` | how many come per second (50) |
//! | `--life N` | how many seconds each lives (60) |
//! | `--kept N` | how many are there all the time (20,000) |
//! | `--all N` | how many there are at the end, of which one in a hundred has the label (100,000) |

use churn::{Churn, Outcome};
use common::say;
use common::table::Table;
use large::Large;
use site::Site;

mod churn;
#[path = "../common/mod.rs"]
mod common;
mod large;
mod report;
mod site;

/// The arguments.
#[derive(Debug, Clone, Copy)]
struct Arguments {
    seconds: usize,
    rate: usize,
    life: usize,
    kept: usize,
    all: usize,
}

impl Arguments {
    fn read() -> Arguments {
        let mut read = Arguments {
            seconds: 300,
            rate: 50,
            life: 60,
            kept: 20_000,
            all: 100_000,
        };
        // Cargo adds `--bench`.
        let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(name) = arguments.next() {
            let place = match name.as_str() {
                "--seconds" => &mut read.seconds,
                "--rate" => &mut read.rate,
                "--life" => &mut read.life,
                "--kept" => &mut read.kept,
                "--all" => &mut read.all,
                _ => panic!("{name:?} is not one of --seconds, --rate, --life, --kept, --all"),
            };
            let value = arguments.next().and_then(|value| value.parse().ok());
            *place = value.unwrap_or_else(|| panic!("{name} needs a number"));
        }
        assert!(read.rate > 0, "--rate must be at least 1");
        read
    }

    fn churn(&self, seconds: usize) -> Churn {
        Churn {
            jobs: seconds * self.rate,
            rate: self.rate,
            life: std::time::Duration::from_secs(self.life as u64),
        }
    }
}

/// All measurements.
struct Measured {
    arguments: Arguments,
    ready_ms: f64,
    without: Outcome,
    kept_bytes: u64,
    with: Outcome,
    after_bytes: u64,
    large: Large,
}

fn main() {
    let arguments = Arguments::read();
    say("with an API server");
    let site = Site::start();
    say("jobs without podseal");
    // A tenth as long is enough for the API server's own cost.
    let few = arguments.churn((arguments.seconds / 10).max(5));
    let without = few.run(&site, None);
    let ready_ms = site.time_to_ready();
    let podseal = site.podseal();
    site.register(&podseal);
    say(&format!("with {} namespaces", arguments.kept));
    site.plane.create_namespaces(arguments.kept, |number| {
        site::unlabelled(&format!("ci-job-kept-{number}"))
    });
    site.await_known(&podseal, arguments.kept);
    let kept_bytes = podseal.memory().resident;
    // The first reviews take memory that the others use again.
    say("the first jobs");
    few.run(&site, Some(&podseal));
    site.await_known(&podseal, arguments.kept);
    say(&format!("jobs for {} s", arguments.seconds));
    let with = arguments
        .churn(arguments.seconds)
        .run(&site, Some(&podseal));
    site.await_known(&podseal, arguments.kept);
    let after_bytes = podseal.memory().resident;
    drop(podseal);
    let measured = Measured {
        arguments,
        ready_ms,
        without,
        kept_bytes,
        with,
        after_bytes,
        large: large::measure(&site, &arguments),
    };
    let table: Table = report::table(&measured);
    println!(
        "\n{}\nAs Markdown:\n\n{}",
        table.aligned(),
        table.markdown()
    );
}
