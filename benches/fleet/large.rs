//! Very many namespaces: the start, and a list that is needed under load because etcd
//! forgot what podseal had seen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cases::job;

use super::Arguments;
use super::common::say;
use super::common::server::Server;
use super::site::{LABELLED, Site, labelled, metric, unlabelled};

/// Of so many namespaces one has the label.
const LABELLED_ONE_OF: usize = 100;
/// The number of threads that create pods.
const HANDS: usize = 8;
/// Both watches have ended by then, and begin again from a version that etcd forgot.
const BOTH_WATCHES: Duration = Duration::from_secs(8);
/// How long the lists may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was measured.
pub(crate) struct Large {
    /// Milliseconds from the start to ready.
    pub(crate) ready_ms: f64,
    /// Resident bytes when ready.
    pub(crate) bytes: u64,
    /// Pages that podseal requested at a start, of both lists.
    pub(crate) pages: usize,
    pub(crate) expired: Expired,
}

/// After the error 410, under load.
pub(crate) struct Expired {
    /// Seconds for which one of the caches did not answer.
    pub(crate) seconds: f64,
    /// Pages that podseal requested for that.
    pub(crate) pages: usize,
    /// Pods created or rejected, from two seconds before until the caches were fresh.
    pub(crate) pods: usize,
    /// Pods that were rejected, each with the message.
    pub(crate) refused: Vec<String>,
    /// GETs of namespaces by podseal.
    pub(crate) gets: usize,
}

/// Measures with as many namespaces as the arguments say.
pub(crate) fn measure(site: &Site, arguments: &Arguments) -> Large {
    say(&format!("with {} namespaces", arguments.all));
    let more = arguments.all.saturating_sub(arguments.kept);
    site.plane
        .create_namespaces(more, |number| match number % LABELLED_ONE_OF {
            0 => labelled(&format!("team-{number}")),
            _ => unlabelled(&format!("team-{number}")),
        });
    say("the start, and a list after the error 410");
    let before = site.asked("list");
    let podseal = site.podseal();
    let bytes = podseal.memory().resident;
    let pages = site.asked("list") - before;
    drop(podseal);
    Large {
        ready_ms: site.time_to_ready(),
        bytes,
        pages,
        expired: expired(site, arguments),
    }
}

/// Has etcd forget what podseal has seen while pods are created. An API server without its
/// watch cache then answers a watch by 410.
fn expired(site: &Site, arguments: &Arguments) -> Expired {
    site.plane.stop_apiserver();
    site.plane.start_apiserver_with(&["--watch-cache=false"]);
    let podseal = site.podseal();
    site.register(&podseal);
    let stop = AtomicBool::new(false);
    let before = (site.asked("list"), site.asked("get"));
    let (seconds, counts) = thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS)
            .map(|hand| {
                let stop = &stop;
                scope.spawn(move || load(site, arguments, hand, stop))
            })
            .collect();
        // The load begins, and is the same before and after.
        thread::sleep(Duration::from_secs(2));
        // Pods raise etcd's revision, and namespaces do not change.
        site.plane.compact();
        let seconds = stale_seconds(&podseal);
        stop.store(true, Ordering::SeqCst);
        let counts = hands.into_iter().map(|hand| hand.join().expect("no panic"));
        (seconds, counts.collect::<Vec<_>>())
    });
    Expired {
        seconds,
        pods: counts.iter().map(|(pods, _)| pods).sum(),
        refused: counts
            .into_iter()
            .flat_map(|(_, refused)| refused)
            .collect(),
        pages: site.asked("list") - before.0,
        gets: site.asked("get") - before.1,
    }
}

/// Waits until both watches have restarted. Returns how long a cache was stale.
fn stale_seconds(podseal: &Server) -> f64 {
    let (start, mut last, mut stale) = (Instant::now(), Instant::now(), Duration::ZERO);
    loop {
        // Sampled, since the gauge says nothing of the past.
        thread::sleep(Duration::from_millis(10));
        let is_fresh = metric(podseal, "podseal_namespace_cache_fresh") > 0.0;
        let now = Instant::now();
        if !is_fresh {
            stale += now - last;
        } else if start.elapsed() >= BOTH_WATCHES {
            return stale.as_secs_f64();
        }
        last = now;
        assert!(start.elapsed() < PATIENCE, "the lists take too long");
    }
}

/// Creates pods in namespaces of the rule and in a labelled one, at the rate of the
/// arguments, until `stop` is set. Returns their number, and the rejections.
fn load(
    site: &Site,
    arguments: &Arguments,
    hand: usize,
    stop: &AtomicBool,
) -> (usize, Vec<String>) {
    let (mut count, mut refused) = (0, Vec::new());
    let pause = Duration::from_secs_f64(HANDS as f64 / arguments.rate as f64);
    let start = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let due = start + pause * u32::try_from(count).expect("it is short");
        // The rate of the load.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let namespace = match count % 2 {
            0 => LABELLED.to_owned(),
            _ => format!(
                "ci-job-kept-{}",
                (count * HANDS + hand) % arguments.kept.max(1)
            ),
        };
        // Stored, since only then etcd has a new revision.
        let pod = job(&format!("loaded-{hand}-{count}"));
        let (code, answer) = site.plane.create_pod(&namespace, &pod);
        if code != 201 {
            refused.push(format!("{namespace}: {code} {}", answer["message"]));
        }
        count += 1;
    }
    (count, refused)
}
