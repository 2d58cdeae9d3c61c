//! Namespaces that come, get the pod of a job, and go after a while.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use cases::job;
use reqwest::Method;
use support::controlplane::ADMIN;

use super::common::server::Server;
use super::site::{ELSEWHERE, LABELLED, Site, metric, unlabelled};

/// The number of threads that create, and of those that delete.
const HANDS: usize = 16;
/// How often memory is measured.
const PARTS: usize = 4;
/// Every so many jobs, pods to compare with.
const COMPARED: usize = 4;

/// Jobs, each in a namespace of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Churn {
    pub(crate) jobs: usize,
    /// Per second.
    pub(crate) rate: usize,
    /// How long a namespace lives.
    pub(crate) life: Duration,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) jobs: usize,
    /// Jobs per second that were created.
    pub(crate) rate: f64,
    /// Milliseconds to create a pod in a new namespace: of the rule, and one that podseal
    /// is not called for.
    pub(crate) new: [Vec<f64>; 2],
    /// The same in a namespace that exists: with the label, and one that podseal is not
    /// called for.
    pub(crate) existing: [Vec<f64>; 2],
    /// Pods that were rejected, each with the message.
    pub(crate) refused: Vec<String>,
    /// Requests that podseal shed.
    pub(crate) shed: f64,
    /// GETs of namespaces by podseal.
    pub(crate) gets: usize,
    /// Resident bytes of podseal, as each [`PARTS`]th of the jobs begins.
    pub(crate) memory: Vec<u64>,
    /// CPU seconds.
    pub(crate) api_server: f64,
    pub(crate) podseal: f64,
}

/// What the threads share.
struct Progress<'p> {
    next: AtomicUsize,
    podseal: Option<&'p Server>,
    memory: Mutex<Vec<u64>>,
    /// The oldest first.
    created: Mutex<Receiver<(Instant, usize)>>,
    times: Mutex<[Vec<f64>; 4]>,
    refused: Mutex<Vec<String>>,
}

impl Churn {
    /// Runs it, and waits until all are gone.
    pub(crate) fn run(self, site: &Site, podseal: Option<&Server>) -> Outcome {
        let (created, oldest) = channel();
        let progress = Progress {
            next: AtomicUsize::default(),
            podseal,
            memory: Mutex::default(),
            created: Mutex::new(oldest),
            times: Mutex::default(),
            refused: Mutex::default(),
        };
        let shed = || podseal.map_or(0.0, |podseal| metric(podseal, "podseal_shed_total"));
        let cpu = || podseal.map_or(0.0, |podseal| podseal.cpu().as_secs_f64());
        let before = (shed(), cpu(), site.asked("get"), site.plane.apiserver_cpu());
        let start = Instant::now();
        let created = thread::scope(|scope| {
            let hands: Vec<_> = (0..HANDS)
                .map(|_| {
                    let (created, progress) = (created.clone(), &progress);
                    scope.spawn(move || self.create(site, progress, start, &created))
                })
                .collect();
            drop(created);
            for _ in 0..HANDS {
                scope.spawn(|| self.remove(site, &progress));
            }
            for hand in hands {
                hand.join().expect("a hand does not panic");
            }
            start.elapsed()
        });
        let [by_rule, new_elsewhere, labelled, elsewhere] =
            progress.times.into_inner().expect("no panic");
        Outcome {
            jobs: self.jobs,
            rate: self.jobs as f64 / created.as_secs_f64(),
            new: [by_rule, new_elsewhere],
            existing: [labelled, elsewhere],
            refused: progress.refused.into_inner().expect("no panic"),
            memory: progress.memory.into_inner().expect("no panic"),
            shed: shed() - before.0,
            gets: site.asked("get") - before.2,
            api_server: (site.plane.apiserver_cpu() - before.3).as_secs_f64(),
            podseal: cpu() - before.1,
        }
    }

    fn create(
        &self,
        site: &Site,
        progress: &Progress<'_>,
        start: Instant,
        created: &Sender<(Instant, usize)>,
    ) {
        loop {
            let number = progress.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.jobs {
                return;
            }
            if let Some(podseal) = progress.podseal
                && number.is_multiple_of(self.jobs.div_ceil(PARTS))
            {
                let mut memory = progress.memory.lock().expect("no panic");
                memory.push(podseal.memory().resident);
            }
            let due = start + Duration::from_secs_f64(number as f64 / self.rate as f64);
            // The rate of the load.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            for (kind, namespace) in namespaces(number).iter().enumerate() {
                if is_new(kind) {
                    site.plane.create_namespace(&unlabelled(namespace));
                }
                let pod = job(&format!("runner-{number}"));
                let start = Instant::now();
                let (code, answer) = site.plane.create_pod(namespace, &pod);
                let time = start.elapsed().as_secs_f64() * 1e3;
                match code {
                    201 => progress.times.lock().expect("no panic")[kind].push(time),
                    _ => {
                        let message = format!("{namespace}: {code} {}", answer["message"]);
                        progress.refused.lock().expect("no panic").push(message);
                    }
                }
            }
            let sent = created.send((Instant::now(), number));
            sent.expect("it is received to the end");
        }
    }

    /// Deletes the oldest ones in time, until all are.
    fn remove(&self, site: &Site, progress: &Progress<'_>) {
        loop {
            let oldest = progress.created.lock().expect("no panic").recv();
            // An error means that all were created and taken.
            let Ok((created, number)) = oldest else {
                return;
            };
            let due = created + self.life;
            // The life of a namespace.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            for (kind, namespace) in namespaces(number).iter().enumerate() {
                let path = format!("/api/v1/namespaces/{namespace}/pods/runner-{number}");
                // It may have been refused.
                site.plane.request(ADMIN, Method::DELETE, &path, None);
                if is_new(kind) {
                    site.plane.remove_namespace(namespace);
                }
            }
        }
    }
}

/// The namespaces of a job and of what it is compared with: that of the job, a new one
/// elsewhere, the labelled one, and one elsewhere.
fn namespaces(number: usize) -> Vec<String> {
    let own = format!("ci-job-{number}");
    if !number.is_multiple_of(COMPARED) {
        return vec![own];
    }
    vec![
        own,
        format!("other-{number}"),
        LABELLED.to_owned(),
        ELSEWHERE.to_owned(),
    ]
}

fn is_new(kind: usize) -> bool {
    kind < 2
}
