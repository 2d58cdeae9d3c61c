//! Jobs that come all the time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use support::controlplane::{ControlPlane, await_condition};

use crate::release::{Attempt, Release, job};

/// How many streams of jobs there are, and how soon the next job of one comes:
/// enough to meet every gap, and few enough to leave the cluster to its work.
const STREAMS: usize = 2;
const PAUSE: Duration = Duration::from_millis(15);

/// How the jobs fared.
#[derive(Debug, Default)]
pub(crate) struct Fared {
    pub(crate) corrected: usize,
    pub(crate) untouched: usize,
    /// In the order in which one of the streams met them.
    pub(crate) refused: Vec<String>,
}

impl Fared {
    /// Every job was created, and none without what it needs.
    pub(crate) fn is_flawless(&self, what: &str) {
        println!("{what}: {} jobs", self.corrected);
        assert!(self.corrected > 0, "{what}: no job came");
        assert_eq!(self.untouched, 0, "{what}: jobs passed uncorrected");
        assert!(
            self.refused.is_empty(),
            "{what}: {} of {} jobs: {:#?}",
            self.refused.len(),
            self.corrected + self.refused.len(),
            self.refused
        );
    }
}

impl Release {
    /// Creates jobs all the time until `meanwhile` is done, and a while after.
    pub(crate) fn under_traffic(&self, meanwhile: impl FnOnce()) -> Fared {
        self.under_traffic_in(&self.jobs, meanwhile)
    }

    /// The same, with jobs in this namespace.
    pub(crate) fn under_traffic_in(&self, jobs: &str, meanwhile: impl FnOnce()) -> Fared {
        let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let plane: &ControlPlane = &self.plane;
        std::thread::scope(|scope| {
            let stream = || {
                let pod = job("default-with-service");
                let mut fared = Fared::default();
                while !over.load(Ordering::Relaxed) {
                    match Attempt::of(plane.try_pod(jobs, &pod)) {
                        Attempt::Corrected => fared.corrected += 1,
                        Attempt::Untouched => fared.untouched += 1,
                        Attempt::Refused(message) => fared.refused.push(message),
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(PAUSE);
                }
                fared
            };
            // Ends the streams also where `meanwhile` panics.
            let _end = SetOnDrop(&over);
            let streams: Vec<_> = (0..STREAMS).map(|_| scope.spawn(stream)).collect();
            let goes_on = || {
                let until = count.load(Ordering::Relaxed) + 20;
                let is_so = || count.load(Ordering::Relaxed) >= until;
                await_condition("jobs go on", is_so, String::new);
            };
            goes_on();
            meanwhile();
            goes_on();
            over.store(true, Ordering::Relaxed);
            let mut all = Fared::default();
            for stream in streams {
                let fared = stream.join().expect("a stream does not panic");
                all.corrected += fared.corrected;
                all.untouched += fared.untouched;
                all.refused.extend(fared.refused);
            }
            all
        })
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
