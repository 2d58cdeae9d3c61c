//! What happens to jobs while default rules are added, changed and removed: they are
//! created as client-go creates them, which tries again when it is told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::release::{Release, Values, job};
use crate::support::controlplane::{ControlPlane, RUNNER, await_condition};
use crate::support::text;

/// How soon the next job comes, and how soon the next one that kubectl creates.
const PAUSE: Duration = Duration::from_millis(100);
const KUBECTL_PAUSE: Duration = Duration::from_secs(4);
/// How often client-go tries again: `maxRetries` in its `rest/request.go`.
const RETRIES: u32 = 10;

/// How the creation of one job went.
#[derive(Debug)]
pub(crate) struct Job {
    /// Who created it.
    by: &'static str,
    started: Instant,
    /// When it was first told to try again.
    turned_away: Option<Instant>,
    ended: Instant,
    tries: u32,
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// `build` runs as this user.
    Corrected(u64),
    Untouched,
    Refused(String),
}

impl Outcome {
    fn of_pod(pod: &Value) -> Outcome {
        let containers = pod["spec"]["containers"].as_array().expect("containers");
        let build = containers.iter().find(|one| one["name"] == "build");
        let user = build.expect("a job")["securityContext"]["runAsUser"].as_u64();
        user.map_or(Outcome::Untouched, Outcome::Corrected)
    }
}

impl Job {
    /// Creates one as client-go does: it tries again after the seconds of the
    /// header `Retry-After`, of which the API server's answer has a copy.
    fn create(plane: &ControlPlane, namespace: &str) -> Job {
        let (started, pod) = (Instant::now(), job("default-with-service"));
        let (mut tries, mut turned_away) = (0, None);
        let outcome = loop {
            let (code, answer) = plane.try_pod(namespace, &pod);
            tries += 1;
            if code == 201 {
                break Outcome::of_pod(&answer);
            }
            let seconds = answer["details"]["retryAfterSeconds"].as_u64();
            match seconds.filter(|_| tries <= RETRIES && (code == 429 || code >= 500)) {
                Some(seconds) => {
                    turned_away.get_or_insert_with(Instant::now);
                    std::thread::sleep(Duration::from_secs(seconds));
                }
                None => {
                    let message = answer["message"].as_str().unwrap_or_default();
                    break Outcome::Refused(format!("{code}: {message}"));
                }
            }
        };
        let ended = Instant::now();
        Job {
            by: "runner",
            started,
            turned_away,
            ended,
            tries,
            outcome,
        }
    }

    /// Has kubectl create one, and so client-go itself.
    fn create_by_kubectl(plane: &ControlPlane, namespace: &str) -> Job {
        let (started, pod) = (Instant::now(), job("default-with-service"));
        let args = [
            "create",
            "--dry-run=server",
            "--validate=false",
            "-o=json",
            "-n",
            namespace,
            "-f=-",
        ];
        let output = plane.kubectl(RUNNER, &args, &pod.to_string());
        let outcome = match output.status.success() {
            true => Outcome::of_pod(&serde_json::from_slice(&output.stdout).expect("a pod")),
            false => Outcome::Refused(text(&output.stderr)),
        };
        Job {
            by: "kubectl",
            started,
            turned_away: None,
            ended: Instant::now(),
            tries: 1,
            outcome,
        }
    }
}

/// How all jobs fared, and when helm was done.
pub(crate) struct Stream {
    jobs: Vec<Job>,
    done: Instant,
}

impl Stream {
    /// What those were refused with that were.
    fn refused(&self) -> Vec<&str> {
        let refused = self.jobs.iter().filter_map(|job| match &job.outcome {
            Outcome::Refused(message) => Some(message.as_str()),
            _ => None,
        });
        refused.collect()
    }

    /// Those that began when helm had said that it was done.
    fn after(&self) -> impl Iterator<Item = &Job> {
        let after = self.jobs.iter().filter(|job| job.started > self.done);
        assert!(after.clone().count() > 10, "jobs came afterwards");
        after
    }

    /// Fails where a job passed uncorrected once the API server asked about any:
    /// then it asks about all.
    fn none_passes_uncorrected(&self) {
        let asked = self.jobs.iter().filter_map(|job| match job.outcome {
            Outcome::Corrected(_) => Some(job.turned_away.unwrap_or(job.ended)),
            _ => job.turned_away,
        });
        let asked = asked.min().expect("a job is corrected");
        for job in &self.jobs {
            let is_late = job.started > asked && job.outcome == Outcome::Untouched;
            assert!(!is_late, "{job:?}, after {:?}", job.started - asked);
        }
    }

    fn print(&self, what: &str) {
        let of = |by| self.jobs.iter().filter(move |job| job.by == by);
        let waited = self.jobs.iter().filter(|job| job.turned_away.is_some());
        let longest = self.jobs.iter().map(|job| job.ended - job.started).max();
        println!(
            "{what}: {} jobs and {} of kubectl, {} refused, {} turned away, {} tries at most, \
             {:?} the longest",
            of("runner").count(),
            of("kubectl").count(),
            self.refused().len(),
            waited.count(),
            self.jobs.iter().map(|job| job.tries).max().unwrap_or(0),
            longest.unwrap_or_default(),
        );
    }
}

impl Release {
    /// Creates jobs in `namespace` all the time until `meanwhile` is done and a while
    /// after, each by itself, whatever others wait for.
    pub(crate) fn retried_jobs_in(&self, namespace: &str, meanwhile: impl FnOnce()) -> Stream {
        let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let jobs = Mutex::new(Vec::new());
        let plane: &ControlPlane = &self.plane;
        let mut done = None;
        std::thread::scope(|scope| {
            let (over, count, jobs) = (&over, &count, &jobs);
            let come = move |pause: Duration, create: fn(&ControlPlane, &str) -> Job| {
                while !over.load(Ordering::Relaxed) {
                    scope.spawn(move || {
                        let job = create(plane, namespace);
                        jobs.lock().expect("no holder panics").push(job);
                    });
                    count.fetch_add(1, Ordering::Relaxed);
                    std::thread::park_timeout(pause);
                }
            };
            let _end = EndOnDrop(over);
            let all = [
                scope.spawn(move || come(PAUSE, Job::create)),
                scope.spawn(move || come(KUBECTL_PAUSE, Job::create_by_kubectl)),
            ];
            let go_on = || {
                let until = count.load(Ordering::Relaxed) + 20;
                let is_so = || count.load(Ordering::Relaxed) >= until;
                await_condition("jobs go on", is_so, String::new);
            };
            go_on();
            meanwhile();
            done = Some(Instant::now());
            go_on();
            over.store(true, Ordering::Relaxed);
            for stream in all {
                stream.thread().unpark();
            }
        });
        Stream {
            jobs: jobs.into_inner().expect("no holder panics"),
            done: done.expect("it is over"),
        }
    }
}

/// Ends the streams also where the test panics.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn rule(name: &str, prefix: &str, user: u32) -> Value {
    json!({"name": name, "namespaces": {"prefix": prefix}, "profile": "rootless",
        "settings": {"run-as-user": user}})
}

#[test]
fn an_added_rule_holds_when_helm_says_so_though_replicas_are_not_ready_for_30_s() {
    let slow = Duration::from_secs(30);
    let file = Values::new(&json!({"defaults": [rule("others", "other-", 3000)]}));
    let release = Release::new("added");
    release.create_namespace("added-job-1", &json!({}));
    release.install(&[&file.arg()]);
    release.await_corrections();
    release.node().delay_readiness(slow);
    file.write(
        &json!({"defaults": [rule("others", "other-", 3000), rule("jobs", "added-job-", 2000)]}),
    );
    let mut took = Duration::ZERO;
    let stream = release.retried_jobs_in("added-job-1", || {
        let start = Instant::now();
        release.helm(
            "upgrade",
            crate::helm::CHART,
            &[&file.arg(), "--timeout=300s"],
        );
        took = start.elapsed();
    });
    stream.print("a rule is added, to replicas that are slow");
    assert!(took > 2 * slow, "both replicas are new: {took:?}");
    assert_eq!(stream.refused(), [""; 0]);
    stream.none_passes_uncorrected();
    for job in stream.after() {
        assert_eq!(job.outcome, Outcome::Corrected(2000), "{job:?}");
    }
    let waited = stream.jobs.iter().filter(|job| job.turned_away.is_some());
    assert!(waited.count() > 10, "jobs were told to come again");
    let most = stream.jobs.iter().map(|job| job.tries).max();
    assert!(
        most <= Some(RETRIES / 2),
        "there is time to spare: {most:?}"
    );
    release.node().check();
}
