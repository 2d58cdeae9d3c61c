//! Namespaces without a label are looked up for each review, and anyone who reaches
//! the port can cause look-ups: that must not delay the responses for jobs.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use support::block_on;
use support::controlplane::await_condition;
use support::podseal::Podseal;
use support::scripted::{Reply, Request, Scripted, Then, list};

use crate::outages::{Answer, Caller, lists};

const RULES: &str = "rules: [{name: jobs, namespaces: {prefix: ci-job-}, profile: rootless}]";

/// A slow API server, and the namespaces that it has.
struct Slow {
    server: Scripted,
    names: Arc<Mutex<HashSet<String>>>,
}

impl Slow {
    fn start(time: Duration) -> Slow {
        let names = Arc::<Mutex<HashSet<String>>>::default();
        let known = Arc::clone(&names);
        let server = Scripted::start(move |request| match request {
            Request::List(_) | Request::Page(_) => list(&[]),
            Request::Watch(_) => Reply::Lines(vec![], Then::EndInTime),
            Request::Get(name) => {
                // As it is at the request; it may change before the
                // response arrives.
                let is_there = known
                    .lock()
                    .expect("no thread panics with it")
                    .contains(name);
                thread::sleep(time);
                let status = json!({"kind": "Status", "status": "Failure", "code": 404,
                    "reason": "NotFound", "message": "x"});
                match is_there {
                    true => Reply::Json(200, json!({"metadata": {"name": name}})),
                    false => Reply::Json(404, status),
                }
            }
        });
        Slow { server, names }
    }

    fn create(&self, name: &str) {
        let mut names = self.names.lock().expect("no thread panics with it");
        names.insert(name.to_owned());
    }

    fn gets(&self, name: &str) -> usize {
        let wanted = Request::Get(name.to_owned());
        self.server.received(|request| *request == wanted)
    }

    fn podseal(&self) -> Podseal {
        let folder = tempfile::tempdir().expect("a folder");
        let (kubeconfig, rules) = (folder.path().join("config"), folder.path().join("rules"));
        std::fs::write(&kubeconfig, self.server.kubeconfig()).expect("a kubeconfig");
        std::fs::write(&rules, RULES).expect("a file of rules");
        let podseal = Podseal::start(|command| {
            command.env("KUBECONFIG", &kubeconfig);
            command.arg("--namespace-rules").arg(&rules);
        });
        await_condition("it lists", || lists(&podseal) == 1, String::new);
        podseal
    }
}

fn caller_from(podseal: &Podseal, address: &str) -> Caller {
    let address: IpAddr = address.parse().expect("an address");
    let client = podseal.client().http1_only().local_address(address);
    Caller {
        client: client.build().expect("a client"),
        url: format!("{}/mutate", podseal.url),
    }
}

/// How many connections the attacker has.
const CONNECTIONS: usize = 96;

/// Asks on all connections until `stop`: on half of them for names that nothing
/// has, and on the others for the namespace that the next job will have.
fn attack(caller: &Caller, next: &Mutex<String>, stop: &AtomicBool) {
    block_on(join_all((0..CONNECTIONS).map(async |connection| {
        let mut count = 0;
        while !stop.load(Ordering::SeqCst) {
            count += 1;
            let name = match connection % 2 {
                0 => format!("ci-job-none-{connection}-{count}"),
                _ => next.lock().expect("no thread panics with it").clone(),
            };
            caller.send(&name).await;
        }
    })));
}

#[test]
fn an_attacker_who_requests_missing_namespaces_starves_no_job() {
    let _machine = crate::shared();
    let api_server = Slow::start(Duration::from_millis(300));
    let podseal = api_server.podseal();
    let (attacker, runner) = (
        caller_from(&podseal, "127.0.0.2"),
        caller_from(&podseal, "127.0.0.1"),
    );
    let (next, stop) = (Mutex::new("ci-job-0".to_owned()), AtomicBool::new(false));
    let answer = thread::scope(|scope| {
        scope.spawn(|| attack(&attacker, &next, &stop));
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let jobs = (0..20).map(|number| {
                let name = format!("ci-job-{number}");
                *next.lock().expect("no thread panics with it") = name.clone();
                // The attacker got the response that there is none,
                // and continues.
                let is_known = || api_server.gets(&name) >= 2;
                await_condition("the attacker requests it", is_known, String::new);
                api_server.create(&name);
                runner.call(&name)
            });
            jobs.collect::<Vec<_>>()
        }));
        stop.store(true, Ordering::SeqCst);
        answer.expect("jobs are asked about")
    });
    assert_eq!(answer, vec![Answer::profile("rootless"); 20]);
    let busy = podseal.metric(r#"podseal_namespace_lookups_total{outcome="not_found"}"#);
    assert!(busy >= Some(100.0), "the attacker was answered: {busy:?}");
}

/// How many reviews of one address may wait, by default: nearly half of
/// `--max-reviews`.
const WAITING: usize = 120;

// Reading all of these at once would take more than `--max-body-memory`.
#[test]
fn many_reviews_of_one_namespace_at_once_cost_a_look_up_or_two() {
    let _machine = crate::shared();
    let api_server = Slow::start(Duration::from_millis(300));
    api_server.create("ci-job-1");
    let podseal = api_server.podseal();
    let answer = Caller::of(&podseal).call_all(&vec!["ci-job-1".to_owned(); WAITING]);
    assert_eq!(answer, vec![Answer::profile("rootless"); WAITING]);
    // One for the first, one for all who came while it was under way, and the same for those
    // that waited for the watch before; and some for those that a busy machine made late.
    let gets = api_server.gets("ci-job-1");
    assert!(
        (1..=6).contains(&gets),
        "{gets} look-ups for {WAITING} reviews"
    );
    let live = podseal.metric(r#"podseal_namespace_lookups_total{outcome="live"}"#);
    assert_eq!(
        live,
        Some(WAITING as f64),
        "each review has its own outcome"
    );
}

// Each takes 1.3 MiB to be read, and the address has 32.
#[test]
fn large_reviews_take_no_more_than_their_bodies_while_they_wait() {
    let _machine = crate::shared();
    let api_server = Slow::start(Duration::from_secs(1));
    api_server.create("ci-job-1");
    let podseal = api_server.podseal();
    let mut pod = cases::fixture("default-with-service");
    pod["metadata"]["annotations"]["example.com/long"] = "x".repeat(200_000).into();
    let caller = Caller::of(&podseal);
    let reviews = (0..60).map(|_| caller.send_pod("ci-job-1", pod.clone()));
    let answer = block_on(join_all(reviews));
    assert_eq!(answer, vec![Answer::profile("rootless"); 60]);
}

#[test]
fn small_reviews_take_no_more_than_their_bodies_while_they_wait() {
    const COUNT: usize = 80;
    const BODY: u64 = 120_000;
    let _machine = crate::shared();
    let api_server = Slow::start(Duration::from_secs(1));
    api_server.create("ci-job-1");
    api_server.create("ci-job-2");
    let podseal = api_server.podseal();
    // Variables are read apart from the pod, into memory of their own.
    let variables = json!([{"name": "A", "value": "b"}]);
    let pod = |bytes: usize| {
        json!({"metadata": {"name": "x", "annotations": {"a": "x".repeat(bytes)}},
            "spec": {"containers": [{"name": "x", "image": "x", "env": variables}]}})
    };
    let caller = Caller::of(&podseal);
    // The connections stay.
    let small = (0..COUNT).map(|_| caller.send_pod("ci-job-1", pod(1)));
    block_on(join_all(small));
    let before = podseal.process.peak_resident_bytes();
    let large = (0..COUNT).map(|_| caller.send_pod("ci-job-2", pod(BODY as usize)));
    block_on(join_all(large));
    let waiting = podseal.process.peak_resident_bytes() - before;
    let bodies = BODY * COUNT as u64;
    println!("{} kB more for {} kB", waiting / 1000, bodies / 1000);
    // Connections have buffers of their own, so this is only less than two copies take.
    assert!(waiting < bodies * 9 / 4, "{waiting} bytes for {bodies}");
}

#[test]
fn a_review_is_never_answered_with_labels_from_before_it_arrived() {
    let _machine = crate::shared();
    let api_server = Slow::start(Duration::from_millis(200));
    let podseal = api_server.podseal();
    let (early, late) = (Caller::of(&podseal), Caller::of(&podseal));
    thread::scope(|scope| {
        let early = scope.spawn(|| early.call("ci-job-1"));
        let is_asked = || api_server.gets("ci-job-1") == 1;
        await_condition("the first is asked for", is_asked, String::new);
        // Its answer, that there is none, is on its way.
        api_server.create("ci-job-1");
        assert_eq!(late.call("ci-job-1"), Answer::profile("rootless"));
        let early = early.join().expect("an answer");
        assert!(early.is_denied("the API server has no such namespace"));
    });
    assert_eq!(api_server.gets("ci-job-1"), 2);
}
