//! Jobs that come all the time, while something is replaced, killed or restarted.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cases::job_log::RETRIED;
use cases::view::{container, effective, home, volume_at};
use serde_json::Value;
use support::wait::await_value;

use crate::job::{BUILDS, Job};
use crate::replicas::{await_replicas, replicas};
use crate::site::{Namespace, Site};

/// How soon the next job comes.
const PAUSE: Duration = Duration::from_millis(800);
/// How many jobs the runner has at most, so that a slow machine keeps up.
const MOST: usize = 10;
/// One job in this many builds an image.
const BUILDS_ONE_IN: usize = 5;
/// How many jobs are created before the fault, and after it.
const AROUND: usize = 5;
/// How often GitLab Runner sends a request (19.4, `retry_limit`), and how long it waits
/// in between (`retry_backoff_max`).
const TRIES: usize = 5;
const BACKOFF: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// What an API server says that is killed or not ready: how kubectl words "connection
/// refused" and "unexpected EOF", and how it answers before it has read its roles and
/// namespaces. A load balancer would keep the runner away from it.
const NOT_READY: [&str; 4] = [
    "The connection to the server",
    ": EOF",
    "pods is forbidden: User",
    "not yet ready to handle request",
];
/// How long the API server may be away. A runner gives up earlier, but podseal cannot
/// change that.
const OUTAGE: Duration = Duration::from_secs(60);
/// How long a job may take on a busy machine.
const JOB: Duration = Duration::from_secs(180);

/// What became of the jobs of a stream.
#[derive(Default)]
struct Counts {
    /// Corrected by podseal, and passed.
    passed: usize,
    /// Of those, the ones that built an image.
    built: usize,
    /// What the runner tried again, because the API server could not be reached.
    retried: Vec<String>,
    /// What the runner tried again, because the API server could not reach podseal.
    retried_for_webhook: Vec<String>,
    lost: Vec<Lost>,
}

/// Why a job did not pass, and what shows it.
enum Lost {
    /// Its pod was not created.
    Refused(String),
    /// Its pod was created as the runner sent it.
    Uncorrected(String),
    /// Its script failed.
    Failed(String),
    /// Its pod was corrected, and has not ended, or could not be started.
    Stuck(String),
}

/// A GitLab Runner to which jobs come.
struct Runner<'n> {
    namespace: &'n Namespace<'n>,
    unfinished: AtomicUsize,
    created: AtomicUsize,
    over: AtomicBool,
    counts: Mutex<Counts>,
}

/// Has jobs come before `fault`, during it and after it.
fn stream_during(site: &Site, what: &str, fault: impl FnOnce()) -> Counts {
    let namespace = site.namespace("rootless");
    let runner = Runner {
        namespace: &namespace,
        unfinished: AtomicUsize::new(0),
        created: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        counts: Mutex::default(),
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        // Ends the stream also where `fault` panics.
        let _end = SetOnDrop(&runner.over);
        let runner = &runner;
        scope.spawn(move || {
            let mut number = 0;
            while !runner.over.load(Ordering::Relaxed) {
                if runner.unfinished.load(Ordering::Relaxed) < MOST {
                    runner.unfinished.fetch_add(1, Ordering::Relaxed);
                    scope.spawn(move || runner.run(number));
                    number += 1;
                }
                std::thread::sleep(PAUSE);
            }
        });
        runner.await_more();
        let faulty = Instant::now();
        fault();
        let took = faulty.elapsed();
        runner.await_more();
        eprintln!("{what}: took {took:.1?}");
    });
    let counts = runner.counts.into_inner().expect("no thread has panicked");
    eprintln!("{what}: {counts} in {:.1?}", start.elapsed());
    counts
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Runner<'_> {
    fn await_more(&self) {
        let until = self.created.load(Ordering::Relaxed) + AROUND;
        await_value(
            "jobs go on",
            Duration::from_secs(60),
            || (self.created.load(Ordering::Relaxed) >= until).then_some(()),
            || format!("{}", self.counts.lock().expect("no thread has panicked")),
        );
    }

    fn run(&self, number: usize) {
        let builds = number.is_multiple_of(BUILDS_ONE_IN);
        let job = Job::new("podman-stable:trixie").script(if builds { BUILDS } else { "true" });
        let end = self.create(&job).and_then(|pod| self.end(&pod));
        self.unfinished.fetch_sub(1, Ordering::Relaxed);
        let mut counts = self.counts.lock().expect("no thread has panicked");
        match end {
            Ok(()) => {
                counts.passed += 1;
                counts.built += usize::from(builds);
            }
            Err(why) => counts.lost.push(why),
        }
    }

    /// Creates the pod, and tries again where GitLab Runner does.
    fn create(&self, job: &Job) -> Result<String, Lost> {
        let start = Instant::now();
        let mut backoff = BACKOFF[0];
        let mut tries = 0;
        loop {
            let message = match job.create(self.namespace) {
                Ok(name) => {
                    self.created.fetch_add(1, Ordering::Relaxed);
                    return Ok(name);
                }
                Err(message) => message,
            };
            let mut retried = RETRIED.iter().chain(&NOT_READY);
            let is_retried = retried.any(|phrase| message.contains(phrase));
            let of_webhook = message.contains("webhook");
            tries += usize::from(of_webhook);
            let is_over = tries == TRIES || start.elapsed() > OUTAGE;
            if is_over || !is_retried {
                return Err(Lost::Refused(message));
            }
            let mut counts = self.counts.lock().expect("no thread has panicked");
            match of_webhook {
                true => counts.retried_for_webhook.push(message),
                false => counts.retried.push(message),
            }
            drop(counts);
            std::thread::sleep(backoff);
            backoff = BACKOFF[1].min(backoff * 2);
        }
    }

    /// Waits for the job's end, and judges it. The API server may be away meanwhile.
    fn end(&self, pod: &str) -> Result<(), Lost> {
        let node = &self.namespace.site.node;
        let reason =
            "jsonpath={.status.containerStatuses[?(@.name==\"build\")].state.terminated.reason}";
        let namespace = self.namespace.name.as_str();
        let wait = ["wait", "--timeout=60s", "--output=json", "--for", reason];
        let args = [&wait[..], &["--namespace", namespace, "pod", pod]].concat();
        let start = Instant::now();
        let pod: Value = loop {
            let output = node.run("kubectl", &args, "");
            if output.status.success() {
                break serde_json::from_slice(&output.stdout).expect("kubectl prints JSON");
            }
            if start.elapsed() > JOB {
                let pod = self.namespace.get(&["pod", pod]);
                return match is_corrected(&pod) {
                    true => Err(Lost::Stuck(format!("{}", pod["status"]))),
                    false => Err(Lost::Uncorrected(format!("{}", pod["spec"]))),
                };
            }
            std::thread::sleep(BACKOFF[0]);
        };
        self.judge(&pod)
    }

    /// Judges a job that has ended.
    fn judge(&self, pod: &Value) -> Result<(), Lost> {
        let statuses = pod["status"]["containerStatuses"].as_array();
        let mut statuses = statuses.expect("statuses").iter();
        let status = statuses.find(|status| status["name"] == "build");
        let end = &status.expect("build")["state"]["terminated"];
        if !is_corrected(pod) {
            Err(Lost::Uncorrected(pod["spec"].to_string()))
        } else if end["exitCode"] == 0 {
            Ok(())
        } else if end["reason"] == "StartError" {
            Err(Lost::Stuck(end.to_string()))
        } else {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            let logs = ["logs", "--all-containers", "--prefix", "--tail=20", name];
            Err(Lost::Failed(format!(
                "{end}\n{}",
                self.namespace.kubectl(&logs)
            )))
        }
    }
}

/// Whether `build` has the user and the HOME of the profile.
fn is_corrected(pod: &Value) -> bool {
    let build = container(pod, "build");
    let volume = home(build).and_then(|home| volume_at(build, home));
    effective(pod, build, "runAsUser") == 1000 && volume == Some("podseal-home")
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs passed, {} of them with a build; requests tried again: {} to the API server, \
             {} that did not reach podseal; lost: {}",
            self.passed,
            self.built,
            self.retried.len(),
            self.retried_for_webhook.len(),
            self.lost.len()
        )?;
        let retried = self.retried.iter().chain(&self.retried_for_webhook);
        for message in retried {
            write!(f, "\n  {}", message.trim())?;
        }
        self.lost
            .iter()
            .try_for_each(|lost| write!(f, "\n  {lost}"))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, shown) = match self {
            Lost::Refused(message) => ("not created", message.trim()),
            Lost::Uncorrected(spec) => ("not corrected", spec.as_str()),
            Lost::Failed(status) => ("failed", status.as_str()),
            Lost::Stuck(status) => ("has not ended", status.as_str()),
        };
        write!(f, "{what}: {shown}")
    }
}

impl Counts {
    /// Every job has passed with podseal's correction.
    #[track_caller]
    fn none_is_lost(&self) {
        assert!(self.passed >= 2 * AROUND && self.built > 0, "{self}");
        assert!(self.lost.is_empty(), "{self}");
    }

    /// The API server has reached podseal each time.
    #[track_caller]
    fn podseal_is_reached(&self) {
        assert!(self.retried_for_webhook.is_empty(), "{self}");
    }
}

#[test]
fn no_job_notices_an_upgrade() {
    let site = Site::alone();
    let before = await_replicas(&site.node, "podseal");
    let counts = stream_during(&site, "upgrade", || {
        let upgrade = [
            "upgrade",
            "podseal",
            "charts/podseal",
            "--namespace=podseal",
        ];
        let values = ["--set=podAnnotations.upgraded=once"];
        let wait = ["--reset-then-reuse-values", "--wait", "--timeout=2m"];
        let args = [&upgrade[..], &values, &wait].concat();
        site.node.prints("helm", &args);
    });
    counts.none_is_lost();
    counts.podseal_is_reached();
    let after = await_replicas(&site.node, "podseal");
    assert!(
        before
            .iter()
            .all(|old| after.iter().all(|new| new.pod != old.pod)),
        "{before:?} {after:?}"
    );
}

#[test]
fn no_job_is_lost_when_a_replica_is_deleted_by_force() {
    let site = Site::alone();
    let replica = &await_replicas(&site.node, "podseal")[0];
    let counts = stream_during(&site, "force deletion", || {
        let delete = ["delete", "pod", "--grace-period=0", "--force", &replica.pod];
        let args = [&["--namespace=podseal"], &delete[..]].concat();
        site.node.kubectl(&args);
    });
    counts.none_is_lost();
    await_replicas(&site.node, "podseal");
}

#[test]
fn no_job_is_lost_when_the_process_of_a_replica_is_killed() {
    let site = Site::alone();
    let killed = &await_replicas(&site.node, "podseal")[0];
    let counts = stream_during(&site, "SIGKILL", || {
        killed.signal(&site.node, "KILL");
        await_value(
            "the kubelet restarts it",
            Duration::from_secs(30),
            || {
                let replicas = replicas(&site.node, "podseal");
                let same = replicas.iter().find(|replica| replica.pod == killed.pod)?;
                (same.ready && same.restarts > killed.restarts).then_some(())
            },
            || format!("{:?}", replicas(&site.node, "podseal")),
        );
    });
    counts.none_is_lost();
    await_replicas(&site.node, "podseal");
}

#[test]
fn podseal_serves_on_while_the_kubelet_restarts() {
    let site = Site::alone();
    let before = await_replicas(&site.node, "podseal");
    let counts = stream_during(&site, "kubelet", || {
        site.node.stop_component("kubelet", "TERM");
        site.node.start_component("kubelet");
    });
    // One that the kubelet was about to start may stay as it is, which podseal cannot change.
    let is_stuck = |lost: &Lost| matches!(lost, Lost::Stuck(_));
    assert!(counts.lost.iter().all(is_stuck), "{counts}");
    assert!(
        counts.lost.len() < AROUND && counts.passed >= AROUND,
        "{counts}"
    );
    counts.podseal_is_reached();
    let after = await_replicas(&site.node, "podseal");
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn no_job_is_lost_when_the_api_server_restarts() {
    let site = Site::alone();
    let before = await_replicas(&site.node, "podseal");
    let counts = stream_during(&site, "API server", || {
        // After TERM it would wait for a minute, for requests that watch.
        site.node.stop_component("kube-apiserver", "KILL");
        site.node.start_component("kube-apiserver");
        await_value(
            "the API server is ready",
            Duration::from_secs(60),
            || {
                let ready = site.node.run("kubectl", &["get", "--raw", "/readyz"], "");
                ready.status.success().then_some(())
            },
            || site.node.component_log("kube-apiserver"),
        );
    });
    counts.none_is_lost();
    let after = await_replicas(&site.node, "podseal");
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}
