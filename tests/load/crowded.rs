//! One client occupies all connections or requests that podseal allows, and a real
//! API server creates pods meanwhile: none fails.
//!
//! The caller is at 127.0.0.2, the API server calls from 127.0.0.1, through a
//! Service, and so by HTTP/1.1.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLockWriteGuard};
use std::time::Duration;

use cases::review::{as_sent, review};
use futures::future::join_all;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};
use support::podseal::{Podseal, configurations_by_service};
use support::spawn;
use support::wire::{Wire, post, post_headers};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::{PLANE, alone};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// More than `--max-connections`.
const CROWD: usize = 530;

/// How long a request stays in flight: none is ever slow.
const IN_FLIGHT: Duration = Duration::from_millis(1500);

/// After how long a connection that was ended comes again, which bounds the load.
const PAUSE: Duration = Duration::from_millis(100);

/// The same for one whose requests are rejected at once.
const LONGER_PAUSE: Duration = Duration::from_secs(1);

/// How many pods are created one after the other, and how many at once.
const PODS: usize = 30;
const AT_ONCE: usize = 8;

/// An API server that calls podseal.
struct Cluster {
    podseal: Arc<Podseal>,
    pod: Value,
    _machine: RwLockWriteGuard<'static, ()>,
}

fn cluster() -> Cluster {
    let machine = alone();
    let podseal = Podseal::for_cluster(&PLANE);
    let port = podseal.address().port();
    PLANE.apply(ADMIN, &configurations_by_service(&podseal.ca, port));
    let namespace = "apiVersion: v1\nkind: Namespace\n\
         metadata: {name: ci, labels: {podseal.io/profile: rootless}}";
    PLANE.apply(ADMIN, namespace);
    let cluster = Cluster {
        podseal: Arc::new(podseal),
        pod: cases::job("job"),
        _machine: machine,
    };
    await_condition(
        "pods are corrected",
        || cluster.create().is_ok(),
        String::new,
    );
    cluster
}

impl Cluster {
    /// Creates a pod as a dry run; whether it came back corrected.
    fn create(&self) -> Result<(), String> {
        let (code, answer) = PLANE.try_pod("ci", &self.pod);
        let user = &answer["spec"]["containers"][0]["securityContext"]["runAsUser"];
        if code == 201 && *user == 1000 {
            Ok(())
        } else {
            Err(format!("{code}: {answer}"))
        }
    }

    /// Creates pods one after the other, and then as many again, some at once.
    fn every_creation_passes(&self) {
        let mut failed: Vec<_> = (0..PODS).filter_map(|_| self.create().err()).collect();
        for _ in 0..PODS / AT_ONCE {
            std::thread::scope(|scope| {
                let creations = [(); AT_ONCE].map(|()| scope.spawn(|| self.create()));
                let creations = creations.map(|creation| creation.join().expect("no panic"));
                failed.extend(creations.into_iter().filter_map(Result::err));
            });
        }
        assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
    }
}

/// What each connection of a crowd does, from its handshake on.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Has a review answered, and from then on always has one in flight.
    Reviews,
    /// Holds as many streams of HTTP/2 as it gets, without their bodies.
    Streams,
}

impl Attack {
    async fn carry_out(self, podseal: &Podseal, answered: &AtomicUsize) -> io::Result<()> {
        match self {
            Attack::Reviews => {
                let mut wire = Wire::connect_from(ATTACKER, podseal, b"http/1.1").await?;
                let pod = json!({"metadata": {"name": "x"}, "spec": {"containers": []}});
                let request = post("/mutate", &as_sent(&review("u", "ci", &pod)));
                let (most, last) = request.split_at(request.len() - 1);
                wire.send(&request).await?;
                loop {
                    assert_eq!(wire.answer().await?.code, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    wire.send(most).await?;
                    sleep(IN_FLIGHT).await;
                    wire.send(last).await?;
                }
            }
            Attack::Streams => {
                let mut wire = Wire::http2_from(ATTACKER, podseal).await?;
                for stream in (1..64).step_by(2) {
                    wire.send(&post_headers(stream, 4)).await?;
                }
                // Until none of them gets more time for its body.
                for _ in 0..32 {
                    wire.await_frame(1).await?;
                }
                sleep(LONGER_PAUSE).await;
                Ok(())
            }
        }
    }
}

/// Connections that attack until this is dropped. One that is ended comes again.
struct Crowd {
    tasks: Vec<JoinHandle<()>>,
    /// How many reviews they have had answered.
    answered: Arc<AtomicUsize>,
}

impl Crowd {
    fn of(count: usize, attack: Attack, podseal: &Arc<Podseal>) -> Crowd {
        let answered = Arc::new(AtomicUsize::new(0));
        let one = |_| {
            let (podseal, answered) = (Arc::clone(podseal), Arc::clone(&answered));
            spawn(async move {
                loop {
                    let _ = attack.carry_out(&podseal, &answered).await;
                    sleep(PAUSE).await;
                }
            })
        };
        let tasks = (0..count).map(one).collect();
        Crowd { tasks, answered }
    }

    /// Ends it. None of it had another answer to a review than its own.
    fn end(mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        let tasks = std::mem::take(&mut self.tasks);
        for task in support::block_on(join_all(tasks)) {
            let error = task.expect_err("they go on forever");
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[test]
fn every_pod_is_created_while_another_client_has_requests_in_flight_on_every_connection() {
    let cluster = cluster();
    let crowd = Crowd::of(CROWD, Attack::Reviews, &cluster.podseal);
    let is_crowded = || crowd.answered.load(Ordering::Relaxed) >= 2 * CROWD;
    await_condition("all have reviews answered", is_crowded, String::new);
    let open = || cluster.podseal.metric("podseal_open_connections");
    assert!(open() >= Some(500.0), "{:?}", open());
    cluster.every_creation_passes();
    assert!(open() >= Some(500.0), "{:?}", open());
    crowd.end();
    let evicted = r#"podseal_connections_closed_total{reason="evicted"}"#;
    cluster.podseal.await_metric(evicted, 1.0);
}

#[test]
fn every_pod_is_created_while_another_client_keeps_as_many_requests_open_as_it_can() {
    let cluster = cluster();
    // As many streams as a connection may have: 4160 in all.
    let crowd = Crowd::of(130, Attack::Streams, &cluster.podseal);
    let shed = r#"podseal_shed_total{reason="concurrency"}"#;
    cluster.podseal.await_metric(shed, 1.0);
    cluster.every_creation_passes();
    crowd.end();
}
