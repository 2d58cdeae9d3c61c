//! Namespaces come and go while everything fails at once. No admission fails that podseal
//! could have saved, none is without its record, and no label is older than the docs say.
//!
//! | variable | what it sets |
//! |---|---|
//! | `SOAK_SECONDS` | for how long (20) |
//! | `SOAK_SEED` | when which fault is, as an earlier run printed it (a new one) |

use std::collections::HashMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::controlplane::await_condition;

use crate::alone;
use cluster::Cluster;
use faults::Fault;
use jobs::Jobs;

mod again;
mod cluster;
mod faults;
mod jobs;
mod records;
mod timeline;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value:?} is no number")),
    )
}

#[test]
fn short_lived_namespaces_survive_every_fault_at_once() {
    let _machine = alone();
    let time = Duration::from_secs(variable("SOAK_SECONDS").unwrap_or(20));
    let seed = variable("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!(
        "{} s of faults; to repeat them: SOAK_SEED={seed}",
        time.as_secs()
    );
    let cluster = Cluster::start();
    let jobs = Jobs::of(&cluster, seed);
    let mut counts = HashMap::new();
    std::thread::scope(|scope| {
        // A fault that panics ends the load, too.
        let end = End(&jobs);
        let load = scope.spawn(|| jobs.run());
        let faults = Fault::ALL.map(|fault| {
            let (over, until_over) = channel::<()>();
            let mut random = fastrand::Rng::with_seed(seed ^ fault as u64);
            let cluster = &cluster;
            let hand = scope.spawn(move || fault.repeat(cluster, &mut random, &until_over));
            (fault, over, hand)
        });
        let start = Instant::now();
        while start.elapsed() < time {
            // What was asked for is the time.
            std::thread::sleep(PROGRESS.min(time.saturating_sub(start.elapsed())));
            println!("{:>5} s: {}", start.elapsed().as_secs(), jobs.progress());
        }
        // The faults end first, one after the other, and the jobs after them.
        for (fault, over, hand) in faults {
            drop(over);
            counts.insert(fault, hand.join().expect("a fault does not panic"));
        }
        drop(end);
        load.join().expect("a job does not panic");
    });
    println!("faults: {counts:?}\n{}", jobs.progress());
    assert!(counts.values().all(|count| *count > 0), "{counts:?}");
    jobs.check();
    cluster.check_current();
    for replica in cluster.replicas().iter() {
        replica.check_memory();
        // All namespaces are removed.
        let known = || replica.podseal.metric("podseal_namespaces_cached");
        let forgotten = || known() == Some(0.0);
        await_condition("podseal forgets the namespaces", forgotten, || {
            format!("{:?}", known())
        });
    }
    jobs.check_records(&cluster.records());
}

/// Ends the jobs when it is dropped.
struct End<'j>(&'j Jobs<'j>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
