//! Jobs, each in a namespace of its own, and what became of them.

use std::collections::HashSet;
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
pub(super) const NAMESPACES: &str = "/api/v1/namespaces";

pub(crate) struct Jobs<'c> {
    pub(super) cluster: &'c Cluster,
    over: AtomicBool,
    random: Mutex<fastrand::Rng>,
    next: AtomicUsize,
    /// Names of pods that were created.
    pub(super) created: Mutex<HashSet<String>>,
    /// Names of privileged pods that were denied.
    pub(super) denied: Mutex<HashSet<String>>,
    /// Attempts that failed while the API server was away.
    away: AtomicUsize,
    /// Attempts that failed with a killed replica.
    killed: AtomicUsize,
    pub(super) oldest_label: Mutex<Duration>,
    failures: Mutex<Vec<String>>,
}

/// What a request ended with, at last.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
    pub(super) span: Span,
}

impl<'c> Jobs<'c> {
    pub(crate) fn of(cluster: &'c Cluster, seed: u64) -> Jobs<'c> {
        Jobs {
            cluster,
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

    pub(super) fn is_over(&self) -> bool {
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

    pub(super) fn fail(&self, what: String) {
        println!("FAILED: {what}");
        self.failures.lock().expect("no holder panics").push(what);
    }

    /// Sends a request until it has an answer that nothing but podseal is responsible for.
    pub(super) fn insist(
        &self,
        user: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
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
        let pod = cases::job(&name);
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

    pub(super) fn create_namespace(&self, name: &str, profile: Option<&str>) {
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
    pub(super) fn remove_namespace(&self, name: &str) {
        let path = format!("{NAMESPACES}/{name}");
        self.insist(ADMIN, &Method::DELETE, &path, None);
        let mut terminating = self.insist(ADMIN, &Method::GET, &path, None);
        if terminating.code == 200 {
            terminating.body["spec"]["finalizers"] = json!([]);
            let path = format!("{path}/finalize");
            self.insist(ADMIN, &Method::PUT, &path, Some(&terminating.body));
        }
    }
}
