//! What happens to jobs while namespace rules are added, changed and removed: they are
//! created as client-go creates them, which tries again when it is told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane, RUNNER, await_condition};
use support::helm::{CHART, helm};
use support::text;

use crate::release::{CONFIGURATIONS, Release, Values, job};

/// How soon the next job comes, and how soon the next one that kubectl creates.
const PAUSE: Duration = Duration::from_millis(250);
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

impl Stream {
    /// No job was lost, and those that came when helm was done are this user's.
    pub(crate) fn is_flawless(&self, what: &str, user: u64) {
        self.print(what);
        let after = |job: &&Job| job.ended.saturating_duration_since(self.jobs[0].started);
        let refused = self
            .jobs
            .iter()
            .filter(|job| matches!(job.outcome, Outcome::Refused(_)));
        let moments: Vec<_> = refused.map(|job| after(&job)).collect();
        assert_eq!(self.refused(), [""; 0], "{what}: after {moments:?}");
        self.none_passes_uncorrected();
        for job in self.after() {
            assert_eq!(job.outcome, Outcome::Corrected(user), "{what}: {job:?}");
        }
    }

    /// Whatever was lost, was lost by this, and before helm was done.
    fn are_lost_only_by(&self, reason: &str) {
        for job in &self.jobs {
            if let Outcome::Refused(message) = &job.outcome {
                assert!(message.contains(reason), "{message}");
                assert!(job.started < self.done, "{job:?}");
            }
        }
    }

    /// How many jobs were turned away until a replica had the rules.
    fn turned_away(&self) -> usize {
        let away = self.jobs.iter().filter(|job| job.turned_away.is_some());
        away.count()
    }
}

#[test]
fn an_added_rule_holds_when_helm_says_so_though_replicas_are_not_ready_for_30_s() {
    let slow = Duration::from_secs(30);
    // Text that is written in more ways than one, on its way through helm, the API
    // server and a volume to podseal.
    let mut others = rule("others", "other-", 3000);
    others["runner"] = " \u{e9}\u{a0}\u{2028}\u{1f600} '\"#: {}\\ ".into();
    let file = Values::new(&json!({"namespaceRules": [others]}));
    let release = Release::new("added");
    release.create_namespace("added-job-1", &json!({}));
    release.install(&[&file.arg()]);
    release.await_corrections();
    release.node().delay_readiness(slow);
    file.write(&json!({"namespaceRules": [others, rule("jobs", "added-job-", 2000)]}));
    let mut took = Duration::ZERO;
    let stream = release.retried_jobs_in("added-job-1", || {
        let start = Instant::now();
        release.helm("upgrade", CHART, &[&file.arg(), "--timeout=300s"]);
        took = start.elapsed();
    });
    stream.is_flawless("a rule is added, to replicas that are slow", 2000);
    assert!(took > 2 * slow, "both replicas are new: {took:?}");
    assert!(stream.turned_away() > 10, "jobs were told to come again");
    release.all_was_decided_by("jobs", "added-job-1");
    let most = stream.jobs.iter().map(|job| job.tries).max();
    assert!(
        most <= Some(RETRIES / 2),
        "there is time to spare: {most:?}"
    );
    release.node().check();
}

#[test]
fn a_job_is_lost_as_rules_come_and_go_only_where_the_page_says_so() {
    let file = Values::new(&json!({}));
    let release = Release::new("first");
    release.create_namespace("first-job-1", &json!({}));
    release.install(&[]);
    release.await_corrections();
    file.write(&json!({"namespaceRules": [rule("jobs", "first-job-", 2000)]}));
    let upgrade = || release.upgrade(&[&file.arg()]);

    // The first rule has an entry that podseal has to make the API server trust.
    let stream = release.retried_jobs_in("first-job-1", upgrade);
    stream.print("the first rule is added");
    stream.none_passes_uncorrected();
    stream.are_lost_only_by("failed calling webhook \"defaults.");
    for job in stream.after() {
        assert_eq!(job.outcome, Outcome::Corrected(2000), "{job:?}");
    }

    release.all_was_decided_by("jobs", "first-job-1");

    // By the page's two steps no job is lost as it goes.
    let mut audit = rule("jobs", "first-job-", 2000);
    audit["mode"] = "audit".into();
    file.write(&json!({"namespaceRules": [audit]}));
    for (rules, what) in [
        (json!([audit]), "the rule only watches"),
        (json!([]), "the last rule is taken away"),
    ] {
        file.write(&json!({"namespaceRules": rules}));
        let stream = release.retried_jobs_in("first-job-1", upgrade);
        stream.print(what);
        assert_eq!(stream.refused(), [""; 0], "{what}");
        for job in stream.after() {
            assert_eq!(job.outcome, Outcome::Untouched, "{what}: {job:?}");
        }
    }
    release.node().check();
}

#[test]
fn a_rule_that_enforces_and_is_taken_away_loses_only_jobs_between_the_configurations() {
    let others = rule("others", "other-", 3000);
    let file =
        Values::new(&json!({"namespaceRules": [others, rule("jobs", "removed-job-", 2000)]}));
    let release = Release::new("removed");
    release.create_namespace("removed-job-1", &json!({}));
    release.install(&[&file.arg()]);
    release.await_user("removed-job-1", 2000);
    file.write(&json!({"namespaceRules": [others]}));
    let stream = release.retried_jobs_in("removed-job-1", || release.upgrade(&[&file.arg()]));
    stream.print("one of two rules is taken away");
    stream.are_lost_only_by("lacks what its profile sets");
    for job in stream.after() {
        assert_eq!(job.outcome, Outcome::Untouched, "{job:?}");
    }
    release.node().check();
}

impl Release {
    /// Fails where a replica has decided on a job there without knowing this rule.
    fn all_was_decided_by(&self, rule: &str, namespace: &str) {
        let lines = self.node().logs();
        let records = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // Other lines have a namespace as well.
        let records = records.filter(|line| line["target"] == "podseal::decision");
        let here: Vec<_> = records
            .filter(|record| record["namespace"] == namespace)
            .collect();
        assert!(here.len() > 20, "jobs were decided on: {}", here.len());
        for record in here {
            assert_eq!(record["default_rule"], rule, "{record:#}");
        }
    }

    /// Waits until `build` of a job there is this user.
    fn await_user(&self, namespace: &str, user: u64) {
        let outcome = || Job::create(&self.plane, namespace).outcome;
        let is_so = || outcome() == Outcome::Corrected(user);
        await_condition("the rule holds", is_so, || format!("{:?}", outcome()));
    }
}

#[test]
fn an_upgrade_from_0_2_0_with_rules_is_refused_in_one_step_and_loses_no_job_in_two() {
    let chart = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/charts/released/podseal-0.2.0.tgz"
    );
    // 0.2.0 knows the value by its old name only, and an upgrade keeps that.
    let file = Values::new(&json!({"defaults": [rule("jobs", "old-job-", 2000)]}));
    let release = Release::new("old");
    release.create_namespace("old-job-1", &json!({}));
    release.helm("install", chart, &[&file.arg()]);
    release.await_user("old-job-1", 2000);

    // What the API server makes of 404: an error that client-go does not try again.
    let mut later = release
        .configuration(CONFIGURATIONS[0])
        .expect("it is there");
    let mut entry = later["webhooks"][1].take();
    entry["clientConfig"]["service"]["path"] = "/mutate/rules-0123456789abcdef".into();
    let condition = "request.namespace == 'lost-job-1'";
    entry["matchConditions"] = json!([{"name": "lost", "expression": condition}]);
    later["webhooks"] = json!([entry]);
    later["metadata"] = json!({"name": format!("{}-later", release.name),
        "labels": {"app.kubernetes.io/instance": release.name}});
    release.plane.apply(ADMIN, &later.to_string());
    release.create_namespace("lost-job-1", &json!({}));
    let outcome = || Job::create(&release.plane, "lost-job-1").outcome;
    let is_refused = || matches!(outcome(), Outcome::Refused(_));
    await_condition("the path is called", is_refused, String::new);
    let before = release.node().not_found();
    let lost = Job::create_by_kubectl(&release.plane, "lost-job-1").outcome;
    let Outcome::Refused(said) = lost else {
        panic!("{lost:?}");
    };
    assert!(said.contains("(InternalError)"), "{said}");
    let reason = "failed calling webhook \"defaults.mutate.podseal.io\": failed to call webhook: \
                  the server could not find the requested resource";
    assert!(said.contains(reason), "{said}");
    assert_eq!(
        release.node().not_found(),
        before + 1,
        "it is not tried again"
    );

    let pods = release.pods();
    let args = [
        "upgrade",
        &release.name,
        CHART,
        "-n",
        &release.namespace,
        "--reuse-values",
    ];
    let refused = helm(&release.plane, &args);
    let told = text(&refused.stderr);
    let step = "--set webhooks.rulesInPath=false";
    assert!(!refused.status.success() && told.contains(step), "{told}");
    assert_eq!(release.pods(), pods, "nothing was changed");

    let step = |value: &str| {
        let value = format!("--set=webhooks.rulesInPath={value}");
        release.retried_jobs_in("old-job-1", || {
            release.upgrade(&["--reset-then-reuse-values", &value]);
        })
    };
    let before = release.node().not_found();
    let stream = step("false");
    stream.is_flawless("the first step from 0.2.0", 2000);
    let are_new = || release.pods().iter().all(|pod| !pods.contains(pod));
    await_condition("replicas are new", are_new, String::new);
    let pods = release.pods();
    let stream = step("true");
    stream.is_flawless("the second step from 0.2.0", 2000);
    assert_eq!(stream.turned_away(), 0, "nobody waits for a second step");
    assert_eq!(release.pods(), pods, "only the paths change");
    assert_eq!(release.node().not_found(), before);
    for kind in CONFIGURATIONS {
        let configuration = release.configuration(kind).expect("it is there");
        let path = &configuration["webhooks"][1]["clientConfig"]["service"]["path"];
        assert!(
            path.as_str().is_some_and(|path| path.contains("/rules-")),
            "{path}"
        );
    }
    release.node().check();
}
