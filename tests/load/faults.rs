//! podseal's replicas come and go under a steady load of pods from a real API
//! server, which reaches them as in production: through a Service, over
//! HTTP/1.1.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLockWriteGuard};
use std::time::Duration;

use cases::review::{as_sent, review};
use serde_json::Value;
use support::balancer::Balancer;
use support::controlplane::{ADMIN, PODSEAL, RUNNER, await_condition};
use support::podseal::{Certificate, Podseal, configurations_by_service};
use support::wire::{Wire, post};
use support::{block_on, text};

use crate::{PLANE, alone};

/// How many creations of pods are always under way.
const AT_ONCE: usize = 4;

/// A cluster whose webhooks call replicas behind a balancer.
struct Replicated {
    balancer: Balancer,
    certificate: Arc<Certificate>,
    pod: Value,
    _machine: RwLockWriteGuard<'static, ()>,
}

impl Replicated {
    fn start() -> Replicated {
        let machine = alone();
        let balancer = Balancer::start();
        let certificate = Certificate::new();
        let configurations = configurations_by_service(&certificate.pem, balancer.port);
        PLANE.apply(ADMIN, &configurations);
        let namespace = "apiVersion: v1\nkind: Namespace\n\
             metadata: {name: ci, labels: {podseal.io/profile: rootless}}";
        PLANE.apply(ADMIN, namespace);
        Replicated {
            balancer,
            certificate,
            pod: cases::job("job"),
            _machine: machine,
        }
    }

    /// A new replica, which gets its share of the load.
    fn replica(&self, arguments: &[&str]) -> Podseal {
        let podseal = Podseal::replica(&self.certificate, |command| {
            command.env("KUBECONFIG", PLANE.kubeconfig(PODSEAL));
            command.args(arguments);
        });
        self.balancer.add(podseal.address());
        podseal
    }

    /// Creates a pod as a dry run; whether it came back corrected.
    fn create(&self) -> Result<(), String> {
        let (code, answer) = PLANE.try_pod("ci", &self.pod);
        let user = &answer["spec"]["containers"][0]["securityContext"]["runAsUser"];
        match code == 201 && *user == 1000 {
            true => Ok(()),
            false => Err(format!("{code}: {answer}")),
        }
    }

    /// Waits until pods are corrected.
    fn is_ready(&self) {
        let corrected = || self.create().is_ok();
        await_condition("pods are corrected", corrected, || {
            format!("{:?}", self.create())
        });
    }

    /// Creates pods all the time until `meanwhile` is done, and returns how many,
    /// and what went wrong.
    fn under_load(&self, meanwhile: impl FnOnce(&Load)) -> (usize, Vec<String>) {
        let (load, over) = (Load::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let workers: Vec<_> = std::iter::repeat_with(|| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        failures.extend(self.create().err());
                        load.0.fetch_add(1, Ordering::Relaxed);
                    }
                    failures
                })
            })
            .take(AT_ONCE)
            .collect();
            meanwhile(&load);
            over.store(true, Ordering::Relaxed);
            let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<String>>| {
                worker.join().expect("a worker does not panic")
            };
            let failures = workers.into_iter().flat_map(join).collect();
            (load.0.load(Ordering::Relaxed), failures)
        })
    }
}

/// How many pods were created.
#[derive(Default)]
struct Load(AtomicUsize);

impl Load {
    /// Waits until so many more were.
    fn goes_on(&self, pods: usize) {
        let mut until = self.0.load(Ordering::Relaxed);
        // In steps, since only standing still is a failure.
        for _ in 0..pods.div_ceil(25) {
            until += 25;
            let reached = || self.0.load(Ordering::Relaxed) >= until;
            await_condition("the load goes on", reached, String::new);
        }
    }
}

/// How many pods make a steady load between two events; more in `make soak`.
fn some() -> usize {
    let soak = std::env::var("SOAK_FACTOR").ok();
    100 * soak.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

#[test]
fn a_rolling_restart_fails_no_admission() {
    let cluster = Replicated::start();
    let arguments = ["--drain", "2s"];
    let mut replicas = vec![cluster.replica(&arguments), cluster.replica(&arguments)];
    cluster.is_ready();
    let (pods, failures) = cluster.under_load(|load| {
        for _ in 0..4 {
            load.goes_on(some());
            // As a Deployment does it: first a new one, then an old one
            // stops.
            replicas.push(cluster.replica(&arguments));
            load.goes_on(some() / 4);
            let mut old = replicas.remove(0);
            old.process.signal("TERM");
            // Endpoints learn of it later than the process itself: the point.
            std::thread::sleep(Duration::from_millis(500));
            cluster.balancer.remove(old.address());
            old.await_event(|event| event["message"] == "stopped");
            assert_eq!(old.process.end(), Some(0));
        }
        load.goes_on(some());
    });
    println!("{pods} pods through four restarts");
    assert!(
        failures.is_empty(),
        "{} of {pods}: {failures:#?}",
        failures.len()
    );
}

#[test]
fn short_lived_connections_fail_no_admission() {
    let cluster = Replicated::start();
    let arguments = ["--max-connection-age", "200ms"];
    let _replicas = [cluster.replica(&arguments), cluster.replica(&arguments)];
    cluster.is_ready();
    let (pods, failures) = cluster.under_load(|load| load.goes_on(5 * some()));
    println!("{pods} pods over connections of 200 ms");
    assert!(
        failures.is_empty(),
        "{} of {pods}: {failures:#?}",
        failures.len()
    );
}

#[test]
fn a_replica_that_is_killed_loses_only_what_it_had_in_flight() {
    let cluster = Replicated::start();
    let _stays = cluster.replica(&[]);
    let mut dies = cluster.replica(&[]);
    cluster.is_ready();
    let (pods, failures) = cluster.under_load(|load| {
        load.goes_on(some());
        // The connections it has stay with it.
        cluster.balancer.remove(dies.address());
        dies.process.signal("KILL");
        dies.process.end();
        load.goes_on(some());
    });
    println!("{} of {pods} pods failed with a replica", failures.len());
    // Each of the pods in flight makes two calls, one webhook after the other.
    assert!(failures.len() <= AT_ONCE, "{failures:#?}");
}

#[test]
fn kubectl_retries_by_itself_after_its_review_was_shed() {
    let cluster = Replicated::start();
    let podseal = cluster.replica(&["--max-body-memory", "1200KiB"]);
    cluster.is_ready();
    let mut pod = cluster.pod.clone();
    pod["metadata"]["name"] = "shed".into();
    // Takes so much of it that no other review of its address has space. A body
    // that grows beyond takes more than there is, and would be shed itself.
    let filler = "x".repeat(500_000);
    let large = review("large", "ci", &serde_json::json!({"spec": {"x": filler}}));
    let request = post("/mutate", &as_sent(&large));
    let mut holder = block_on(Wire::http1(&podseal));
    block_on(holder.send(&request[..request.len() - 1])).expect("sent");
    let args = ["create", "-n", "ci", "-f", "-"];
    let created = std::thread::scope(|scope| {
        let created = scope.spawn(|| PLANE.kubectl(RUNNER, &args, &pod.to_string()));
        podseal.await_event(|event| event["message"] == "shed a review");
        block_on(holder.send(&request[request.len() - 1..])).expect("sent");
        created.join().expect("kubectl runs")
    });
    assert!(created.status.success(), "{}", text(&created.stderr));
    assert_eq!(PLANE.stored_pod("ci", "shed")["kind"], "Pod");
}
