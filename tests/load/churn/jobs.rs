//! Jobs, each in a namespace of its own, and what became of them.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER};

use super::cluster::Cluster;
use super::timeline::Span;

/// How many jobs are created a second, and by how many threads.
const RATE: u32 = 10;
const HANDS: usize = 4;
/// How long each namespace lives.
const LIFE: Duration = Duration::from_secs(5);
/// Of so many jobs one also tries a privileged pod.
const HOSTILE_ONE_OF: usize = 5;
/// The most that a label may be old: ten seconds, and some time for a busy machine.
const FRESHNESS: Duration = Duration::from_secs(10 + 5);
/// The pause between two questions for what changes.
const PAUSE: Duration = Duration::from_millis(25);
const NAMESPACES: &str = "/api/v1/namespaces";

pub(crate) struct Jobs<'c> {
    cluster: &'c Cluster,
    pod: Value,
    over: AtomicBool,
    random: Mutex<fastrand::Rng>,
    next: AtomicUsize,
    /// Names of pods that were created.
    created: Mutex<HashSet<String>>,
    /// Names of privileged pods that were denied.
    denied: Mutex<HashSet<String>>,
    /// Attempts that failed while the API server was away.
    away: AtomicUsize,
    /// Attempts that failed with a killed replica.
    killed: AtomicUsize,
    oldest_label: Mutex<Duration>,
    failures: Mutex<Vec<String>>,
}

/// What a request ended with, at last.
struct Answer {
    code: u16,
    body: Value,
    span: Span,
}

impl<'c> Jobs<'c> {
    pub(crate) fn of(cluster: &'c Cluster, seed: u64) -> Jobs<'c> {
        let mut pod = cases::fixture("default-with-service");
        let metadata = pod["metadata"].as_object_mut().expect("metadata");
        metadata.remove("namespace");
        Jobs {
            cluster,
            pod,
            over: AtomicBool::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            next: AtomicUsize::default(),
            created: Mutex::default(),
            denied: Mutex::default(),
            away: AtomicUsize::default(),
            killed: AtomicUsize::default(),
            oldest_label: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Creates and removes, until the end.
    pub(crate) fn run(&self) {
        let (created, oldest) = channel();
        thread::scope(|scope| {
            let start = Instant::now();
            for _ in 0..HANDS {
                let created = created.clone();
                scope.spawn(move || self.create_all(start, &created));
            }
            drop(created);
            scope.spawn(move || self.remove_all(&oldest));
            scope.spawn(|| self.create_again_and_again());
        });
    }

    /// Creates no more.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// So far.
    pub(crate) fn progress(&self) -> String {
        format!(
            "{} jobs created, {} privileged pods denied, {} attempts failed with the API server \
             and {} with a killed replica, the oldest label applied for {:.1} s, a replica that \
             stayed had {:.1} MiB, {} failures",
            self.created.lock().expect("no holder panics").len(),
            self.denied.lock().expect("no holder panics").len(),
            self.away.load(Ordering::Relaxed),
            self.killed.load(Ordering::Relaxed),
            self.oldest_label
                .lock()
                .expect("no holder panics")
                .as_secs_f64(),
            self.cluster.replicas()[0].podseal.process.resident_bytes() as f64 / 1048576.0,
            self.failures.lock().expect("no holder panics").len(),
        )
    }

    /// Fails if something failed that podseal could have saved.
    pub(crate) fn check(&self) {
        let failures = self.failures.lock().expect("no holder panics");
        assert!(
            failures.is_empty(),
            "{} failures: {failures:#?}",
            failures.len()
        );
        let killed = self.killed.load(Ordering::Relaxed);
        // Each had one in flight, and so had the one that comes again.
        let most = (HANDS + 1) * self.cluster.killed.count();
        assert!(
            killed <= most,
            "{killed} failed with killed replicas; at most {most} can"
        );
        let denied = self.denied.lock().expect("no holder panics");
        assert!(!denied.is_empty(), "no hostile pod was tried");
    }

    /// Fails if a pod was created without the records of both webhooks, or denied without
    /// that of its denial.
    pub(crate) fn check_records(&self, records: &str) {
        let mut recorded: HashMap<String, HashSet<String>> = HashMap::new();
        let mut cut = 0;
        for line in records.lines().filter(|line| !line.is_empty()) {
            let Ok(record) = serde_json::from_str::<Value>(line) else {
                cut += 1;
                continue;
            };
            let text = |name: &str| record[name].as_str().expect("a text").to_owned();
            let decision = format!("{} {}", text("webhook"), text("decision"));
            recorded.entry(text("pod")).or_default().insert(decision);
        }
        // Only who is killed leaves half a line.
        let killed = self.cluster.killed.count();
        assert!(cut <= killed, "{cut} lines are cut, {killed} were killed");
        let has = |pod: &String, begin: &str| {
            let decisions = recorded.get(pod).into_iter().flatten();
            decisions
                .filter(|decision| decision.starts_with(begin))
                .count()
                > 0
        };
        let created = self.created.lock().expect("no holder panics");
        let denied = self.denied.lock().expect("no holder panics");
        let lost = created
            .iter()
            .filter(|pod| !(has(pod, "mutate ") && has(pod, "validate ")));
        let lost: Vec<_> = lost
            .chain(denied.iter().filter(|pod| !has(pod, "validate deny")))
            .collect();
        println!(
            "{} jobs and {} denials, {} without their records",
            created.len(),
            denied.len(),
            lost.len()
        );
        assert!(lost.is_empty(), "{lost:?}");
    }

    fn fail(&self, what: String) {
        println!("FAILED: {what}");
        self.failures.lock().expect("no holder panics").push(what);
    }

    /// Sends a request until it has an answer that nothing but podseal is responsible for.
    fn insist(&self, user: &str, method: &Method, path: &str, body: Option<&Value>) -> Answer {
        loop {
            let send = || {
                self.cluster
                    .plane
                    .try_request(user, method.clone(), path, body)
            };
            let (span, answer) = Span::of(send);
            let is_away = self.cluster.away.overlap(span);
            match answer {
                Ok((code @ (200..=299 | 403 | 404 | 409), body)) if !is_away || code < 300 => {
                    return Answer { code, body, span };
                }
                _ if is_away => {
                    self.away.fetch_add(1, Ordering::Relaxed);
                    self.cluster.await_apiserver();
                }
                Ok((500, body)) if self.cluster.killed.overlap(span) => {
                    let message = body["message"].as_str().unwrap_or_default();
                    if !message.contains("failed calling webhook") {
                        return Answer {
                            code: 500,
                            body,
                            span,
                        };
                    }
                    self.killed.fetch_add(1, Ordering::Relaxed);
                }
                Ok((code, body)) => return Answer { code, body, span },
                Err(error) => {
                    let body = json!({"message": format!("{error:?}")});
                    return Answer {
                        code: 0,
                        body,
                        span,
                    };
                }
            }
        }
    }

    fn create_all(&self, start: Instant, created: &Sender<(Instant, usize)>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let due = start + Duration::from_secs(1) / RATE * u32::try_from(number).expect("few");
            // The rate of the load.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.is_over() {
                return;
            }
            self.create(number);
            let sent = created.send((Instant::now(), number));
            sent.expect("it is received to the end");
        }
    }

    fn create(&self, number: usize) {
        let namespace = format!("ci-job-{number}");
        self.create_namespace(&namespace, None);
        let name = format!("runner-{number}");
        let mut pod = self.pod.clone();
        pod["metadata"]["name"] = name.clone().into();
        let path = format!("{NAMESPACES}/{namespace}/pods");
        let mut answer = self.insist(RUNNER, &Method::POST, &path, Some(&pod));
        if answer.code == 409 {
            // An earlier attempt, whose answer was lost, has created it.
            let code = answer.code;
            let found = self.insist(ADMIN, &Method::GET, &format!("{path}/{name}"), None);
            answer = Answer { code, ..found };
        }
        let user = answer.body["spec"]["containers"][0]["securityContext"]["runAsUser"].as_i64();
        let users = self.cluster.users.at(answer.span);
        match user {
            // It is not known when the earlier attempt was.
            Some(_) if answer.code == 409 => {}
            Some(user) if answer.code == 201 && users.contains(&user) => {}
            _ => self.fail(format!(
                "{name}: {} {}, user {user:?}, not of {users:?}",
                answer.code, answer.body["message"]
            )),
        }
        if user.is_some() {
            self.created.lock().expect("no holder panics").insert(name);
        }
        let is_hostile = self
            .random
            .lock()
            .expect("no holder panics")
            .usize(..HOSTILE_ONE_OF)
            == 0;
        if is_hostile {
            self.try_privileged(&path, format!("hostile-{number}"));
        }
    }

    /// A pod that no profile grants is never created.
    fn try_privileged(&self, path: &str, name: String) {
        let container = json!({"name": "x", "image": "x", "securityContext": {"privileged": true}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [container]}});
        let answer = self.insist(
            RUNNER,
            &Method::POST,
            &format!("{path}?dryRun=All"),
            Some(&pod),
        );
        let message = answer.body["message"].as_str().unwrap_or_default();
        if answer.code == 403 && message.contains("denied the request: ") {
            self.denied.lock().expect("no holder panics").insert(name);
        } else {
            self.fail(format!("{name}: {} {message}", answer.code));
        }
    }

    fn create_namespace(&self, name: &str, profile: Option<&str>) {
        let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name}});
        if let Some(profile) = profile {
            namespace["metadata"]["labels"] = json!({"podseal.io/profile": profile});
        }
        let answer = self.insist(ADMIN, &Method::POST, NAMESPACES, Some(&namespace));
        // An earlier attempt may have created it.
        if !matches!(answer.code, 201 | 409) {
            self.fail(format!(
                "{name}: {} {}",
                answer.code, answer.body["message"]
            ));
        }
    }

    /// Removes the oldest ones in time, until all are.
    fn remove_all(&self, created: &Receiver<(Instant, usize)>) {
        for (created, number) in created {
            // The life of a namespace.
            thread::sleep((created + LIFE).saturating_duration_since(Instant::now()));
            let pod = format!("{NAMESPACES}/ci-job-{number}/pods/runner-{number}");
            self.insist(ADMIN, &Method::DELETE, &pod, None);
            self.remove_namespace(&format!("ci-job-{number}"));
        }
    }

    /// As its controller does at the end.
    fn remove_namespace(&self, name: &str) {
        let path = format!("{NAMESPACES}/{name}");
        self.insist(ADMIN, &Method::DELETE, &path, None);
        let mut terminating = self.insist(ADMIN, &Method::GET, &path, None);
        if terminating.code == 200 {
            terminating.body["spec"]["finalizers"] = json!([]);
            let path = format!("{path}/finalize");
            self.insist(ADMIN, &Method::PUT, &path, Some(&terminating.body));
        }
    }

    /// One name, of another team each time: by the rule, then by labels.
    fn create_again_and_again(&self) {
        let name = "ci-job-again";
        while !self.is_over() {
            for profile in [None, Some("root"), Some("rootless")] {
                self.create_namespace(name, profile);
                let created = Instant::now();
                while !self.is_over() && !self.has_everywhere(name, profile, created) {
                    thread::sleep(PAUSE);
                }
                self.try_again(name, profile, created);
                self.remove_namespace(name);
            }
        }
    }

    /// Whether each replica applies this profile, the rule's by default. It fails if one does
    /// not in time.
    fn has_everywhere(&self, name: &str, profile: Option<&str>, created: Instant) -> bool {
        let expected = profile.unwrap_or("soak");
        let mut is_right = true;
        for (span, applied) in self.cluster.profiles(name, profile.is_some()) {
            if applied == expected {
                continue;
            }
            is_right = false;
            if self.cluster.away.overlap(span) {
                continue;
            }
            let age = span.start.saturating_duration_since(created);
            let mut oldest = self.oldest_label.lock().expect("no holder panics");
            *oldest = age.max(*oldest);
            drop(oldest);
            let is_other = ["soak", "root", "rootless"].contains(&&*applied);
            if age > FRESHNESS || !is_other {
                self.fail(format!("{name}, {expected} for {age:.1?}: {applied}"));
                return true;
            }
        }
        is_right
    }

    /// Creates a pod there when each replica has applied the profile.
    fn try_again(&self, name: &str, profile: Option<&str>, created: Instant) {
        let mut pod = self.pod.clone();
        pod["metadata"]["name"] = "again".into();
        let path = format!("{NAMESPACES}/{name}/pods?dryRun=All");
        let answer = self.insist(RUNNER, &Method::POST, &path, Some(&pod));
        let build = &answer.body["spec"]["containers"][0];
        let user = build["securityContext"]["runAsUser"].as_i64();
        let is_right = match profile {
            None => user.is_some_and(|user| self.cluster.users.at(answer.span).contains(&user)),
            Some("root") => user == Some(0),
            Some(_) => user == Some(1000),
        };
        // A replica that drains may still be behind, and where two differ the pod is denied.
        let age = answer.span.start.saturating_duration_since(created);
        let may_be_old = age < FRESHNESS && (user.is_some() || answer.code == 403);
        if !(answer.code == 201 && is_right || may_be_old) {
            let message = &answer.body["message"];
            let code = answer.code;
            self.fail(format!(
                "{name}, {profile:?} for {age:.1?}: {code} {message}, user {user:?}"
            ));
        }
    }
}
