//! Namespaces of which anyone who may edit them has made megabytes: owners' names
//! full of `<`, each of which takes six bytes on the wire.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use support::controlplane::{ADMIN, ControlPlane, await_condition};
use support::podseal::Podseal;
use support::scripted::{Body, Reply, Request, Scripted, Then, line, list, namespace};

use crate::outages::network::{create, relabel};
use crate::outages::protocol::podseal_of;
use crate::outages::{Answer, Caller, lists};

/// What such an object has of them in etcd, which takes 1.5 MiB in all.
const IN_ETCD: usize = 1_250_000;

/// How much more memory podseal may need at its worst moment with such objects than
/// without: buffers of a connection, and what an allocator does not give back.
const GROWTH: u64 = 8 << 20;

/// How many `<` each of two thousand has: PODSEAL_TEST_NAMESPACE_BYTES, or fewer than
/// etcd takes, since a build without optimisation reads 15 GB for minutes. Of these
/// a page is 30 MB, several times what is allowed, all the same.
fn of_two_thousand() -> usize {
    let bytes = std::env::var("PODSEAL_TEST_NAMESPACE_BYTES");
    bytes.map_or(100_000, |bytes| bytes.parse().expect("a number of bytes"))
}

/// Writes a namespace with `count` times `<`, all of it before its labels.
fn write_large(
    body: &mut Body<'_>,
    name: &str,
    version: &str,
    count: usize,
    mut after_each_part: impl FnMut(),
) -> io::Result<()> {
    const PART: usize = 8192;
    let head = format!(
        r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}","ownerReferences":[{{"name":""#
    );
    body.write(head.as_bytes())?;
    let part = r"\u003c".repeat(PART);
    for _ in 0..count / PART {
        body.write(part.as_bytes())?;
        after_each_part();
    }
    body.write(&part.as_bytes()[..6 * (count % PART)])?;
    body.write(br#""}],"labels":{"podseal.io/profile":"rootless"}}}"#)
}

/// Writes the event of one.
fn write_event(
    body: &mut Body<'_>,
    name: &str,
    version: &str,
    after_each_part: impl FnMut(),
) -> io::Result<()> {
    body.write(br#"{"type":"MODIFIED","object":"#)?;
    write_large(body, name, version, IN_ETCD, after_each_part)?;
    body.write(b"}\n")
}

/// Two thousand namespaces with `count` times `<` each.
fn two_thousand(count: usize) -> Scripted {
    const PAGE: usize = 50;
    Scripted::start(move |request| {
        let first = match request {
            Request::List(_) => 0,
            Request::Page(token) => token.parse().expect("a token of ours"),
            Request::Watch(_) => return Reply::Lines(vec![], Then::EndInTime),
            Request::Get(name) => return Reply::Json(200, namespace(name, "rootless", "1")),
        };
        Reply::Body(Box::new(move |body| {
            body.write(br#"{"items":["#)?;
            for number in first..first + PAGE {
                if number > first {
                    body.write(b",")?;
                }
                write_large(body, &format!("n-{number}"), "1", count, || {})?;
            }
            let next = match first + PAGE {
                2000 => String::new(),
                next => next.to_string(),
            };
            let end = json!({"resourceVersion": "1", "continue": next});
            body.write(format!(r#"],"metadata":{end}}}"#).as_bytes())
        }))
    })
}

/// Waits until podseal is ready, sends a review of a job, and returns how much
/// memory it had at most.
fn peak_when_ready(podseal: &Podseal, namespace: &str) -> u64 {
    let caller = Caller::of(podseal);
    let is_ready = || podseal.status("/readyz").0 == 200;
    let start = Instant::now();
    // Longer than other waits: the whole list is read.
    while !is_ready() {
        assert!(start.elapsed() < Duration::from_secs(600), "not ready");
        // Those that cannot wait are answered meanwhile, or denied where a busy API
        // server takes too long.
        let answer = caller.call(namespace);
        let is_right = answer == Answer::profile("rootless") || answer.is_denied("did not answer");
        assert!(is_right, "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(caller.call(namespace), Answer::profile("rootless"));
    podseal.process.peak_resident_bytes()
}

#[test]
fn two_thousand_namespaces_of_megabytes_are_listed_in_the_memory_of_small_ones() {
    let _machine = crate::shared();
    let peaks = [1, of_two_thousand()].map(|count| {
        let server = two_thousand(count);
        let podseal = podseal_of(&server);
        let peak = peak_when_ready(&podseal, "n-1999");
        let cached = podseal.metric("podseal_namespaces_cached");
        assert_eq!((cached, lists(&podseal)), (Some(2000.0), 1));
        peak
    });
    let [small, large] = peaks;
    println!("peak: {small} bytes with small ones, {large} with large ones");
    assert!(large < small + GROWTH, "{large} bytes, {small} without");
}

#[test]
fn a_truncated_page_is_requested_again_and_the_list_completes() {
    let _machine = crate::shared();
    let server = Scripted::start(|request| match request {
        Request::List(_) => Reply::Json(
            200,
            json!({"metadata": {"resourceVersion": "1", "continue": "x"},
                "items": [namespace("first", "rootless", "1")]}),
        ),
        Request::Page(_) => {
            static TRIES: AtomicUsize = AtomicUsize::new(0);
            let tries = TRIES.fetch_add(1, Ordering::SeqCst);
            Reply::Body(Box::new(move |body| {
                body.write(br#"{"metadata":{"resourceVersion":"1"},"items":["#)?;
                body.write(namespace("second", "rootless", "1").to_string().as_bytes())?;
                if tries < 2 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                body.write(b"]}")
            }))
        }
        Request::Watch(_) => Reply::Lines(vec![], Then::EndInTime),
        Request::Get(_) => Reply::Silence,
    });
    let podseal = podseal_of(&server);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    for name in ["first", "second"] {
        assert_eq!(caller.call(name), Answer::profile("rootless"));
    }
    assert_eq!(
        server.received(|request| matches!(request, Request::List(_))),
        1
    );
    assert_eq!(
        server.received(|request| matches!(request, Request::Page(_))),
        3
    );
}

/// What the API server of the tests below knows of the namespace `ci`.
#[derive(Clone)]
struct Truth(Arc<Mutex<(&'static str, u64)>>);

impl Truth {
    fn new() -> Truth {
        Truth(Arc::new(Mutex::new(("rootless", 1))))
    }

    fn set(&self, profile: &'static str) {
        let mut truth = self.0.lock().expect("no thread panics with it");
        *truth = (profile, truth.1 + 1);
    }

    fn get(&self) -> (&'static str, u64) {
        *self.0.lock().expect("no thread panics with it")
    }

    fn live(&self, name: &str) -> Reply {
        let (profile, version) = self.get();
        Reply::Json(200, namespace(name, profile, &version.to_string()))
    }
}

fn await_profile(caller: &Caller, was: &str, is: &str, within: Duration) {
    let start = Instant::now();
    loop {
        let answer = caller.call("ci");
        if answer == Answer::profile(is) {
            return;
        }
        assert_eq!(answer, Answer::profile(was), "after {:?}", start.elapsed());
        assert!(start.elapsed() < within, "still {was} after {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn events_of_megabytes_break_no_watch_and_make_no_other_label_stale() {
    let _machine = crate::shared();
    let truth = Truth::new();
    let events = Arc::new(AtomicUsize::new(0));
    let (says, sent) = (truth.clone(), Arc::clone(&events));
    let server = Scripted::start(move |request| match request {
        Request::List(_) | Request::Page(_) => list(&[namespace("ci", "rootless", "1")]),
        Request::Watch(_) => {
            let (says, sent) = (says.clone(), Arc::clone(&sent));
            // Without a pause, for as long as the watch lasts.
            Reply::Body(Box::new(move |body| {
                let end = Instant::now() + body.timeout.expect("podseal sets a timeout");
                let mut written = 0;
                while Instant::now() < end {
                    let (profile, version) = says.get();
                    write_event(body, "large", &version.to_string(), || {})?;
                    if version != written {
                        let ci = namespace("ci", profile, &version.to_string());
                        body.write(format!("{}\n", line("MODIFIED", &ci)).as_bytes())?;
                        written = version;
                    }
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }))
        }
        Request::Get(name) => says.live(name),
    });
    let podseal = podseal_of(&server);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    assert_eq!(caller.call("ci"), Answer::profile("rootless"));
    let before = podseal.process.peak_resident_bytes();
    let start = Instant::now();
    let mut was = "rootless";
    // Longer than the cache is believed without a proof.
    while start.elapsed() < Duration::from_secs(15) {
        let is = if was == "rootless" {
            "root-fuse"
        } else {
            "rootless"
        };
        truth.set(is);
        await_profile(&caller, was, is, Duration::from_secs(10));
        was = is;
    }
    assert_eq!(lists(&podseal), 1);
    let sent = events.load(Ordering::SeqCst);
    assert!(sent >= 10, "{sent} events");
    let growth = podseal.process.peak_resident_bytes() - before;
    println!("{growth} bytes more, with {sent} events of 7.5 MB");
    assert!(growth < GROWTH, "{growth} bytes more");
}

#[test]
fn while_an_event_arrives_slowly_no_stale_label_is_used_and_nothing_is_listed_again() {
    let _machine = crate::shared();
    let truth = Truth::new();
    let done = Arc::new(AtomicBool::new(false));
    let (says, is_done) = (truth.clone(), Arc::clone(&done));
    let server = Scripted::start(move |request| match request {
        Request::List(_) | Request::Page(_) => list(&[namespace("ci", "rootless", "1")]),
        Request::Watch(0) => {
            let is_done = Arc::clone(&is_done);
            Reply::Body(Box::new(move |body| {
                write_event(body, "large", "2", || {
                    // A part now and then, until the test has seen enough.
                    if !is_done.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(500));
                    }
                })
            }))
        }
        // From the version of that event on.
        Request::Watch(_) => {
            let (profile, version) = says.get();
            let ci = namespace("ci", profile, &version.to_string());
            Reply::Lines(vec![line("MODIFIED", &ci)], Then::EndInTime)
        }
        Request::Get(name) => says.live(name),
    });
    let podseal = podseal_of(&server);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    assert_eq!(caller.call("ci"), Answer::profile("rootless"));
    let watches = || server.received(|request| matches!(request, Request::Watch(_)));
    await_condition("it watches", || watches() == 1, String::new);
    // Its event in the watch comes after those megabytes.
    truth.set("root-fuse");
    await_profile(&caller, "rootless", "root-fuse", Duration::from_secs(15));
    assert_eq!(podseal.metric("podseal_namespace_cache_fresh"), Some(0.0));
    // Past everything that could be taken for a hanging watch.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        assert_eq!(caller.call("ci"), Answer::profile("root-fuse"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((watches(), lists(&podseal)), (1, 1), "it arrives still");
    done.store(true, Ordering::SeqCst);
    await_condition("it watches on", || watches() >= 2, String::new);
    let is_fresh = || podseal.metric("podseal_namespace_cache_fresh") == Some(1.0);
    await_condition("the cache is fresh again", is_fresh, String::new);
    assert_eq!(caller.call("ci"), Answer::profile("root-fuse"));
    let cached = podseal.metric("podseal_namespaces_cached");
    assert_eq!((lists(&podseal), cached), (1, Some(2.0)));
}

/// Gives the namespace `name` 1.25 MB of `<`, or changes them.
fn write_owners(plane: &ControlPlane, name: &str, round: usize) {
    let owner = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "uid": format!("{round}"),
        "name": "<".repeat(IN_ETCD),
    });
    let patch = json!({"metadata": {"ownerReferences": [owner]}});
    let path = format!("/api/v1/namespaces/{name}");
    let (code, mut namespace) = plane.request(ADMIN, Method::GET, &path, None);
    assert_eq!(code, 200, "{name}");
    namespace["metadata"]["ownerReferences"] = patch["metadata"]["ownerReferences"].clone();
    let (code, _) = plane.request(ADMIN, Method::PUT, &path, Some(&namespace));
    assert_eq!(code, 200, "{name}");
}

#[test]
fn twenty_such_namespaces_in_a_real_api_server_take_no_memory_and_make_no_other_label_stale() {
    let _machine = crate::shared();
    let plane = ControlPlane::start();
    create(&plane, "ci", "rootless");
    let names: Vec<_> = (0..20).map(|number| format!("large-{number}")).collect();
    for name in &names {
        create(&plane, name, "rootless");
    }
    let podseal = Podseal::for_cluster(&plane);
    let before = peak_when_ready(&podseal, "ci");
    let caller = Caller::of(&podseal);
    let (mut was, mut is) = ("rootless", "root-fuse");
    // Their events, and a label that changes behind them.
    for (round, name) in names.iter().enumerate() {
        write_owners(&plane, name, round);
        if round % 5 == 4 {
            relabel(&plane, "ci", is);
            await_profile(&caller, was, is, Duration::from_secs(10));
            (was, is) = (is, was);
        }
    }
    let growth = podseal.process.peak_resident_bytes() - before;
    println!("{growth} bytes more with their events");
    assert!(growth < GROWTH, "{growth} bytes more with their events");
    assert_eq!(lists(&podseal), 1);
    // And in a list, which is 150 MB.
    let another = Podseal::for_cluster(&plane);
    let peak = peak_when_ready(&another, "large-0");
    println!("{peak} bytes with their list, {before} before");
    assert!(
        peak < before + GROWTH,
        "{peak} bytes with their list, {before} before"
    );
    let cached = another.metric("podseal_namespaces_cached");
    assert_eq!(cached, Some(21.0));
    // One that is looked up is read in the same way.
    let path = "/api/v1/namespaces/large-0";
    let (_, mut namespace) = plane.request(ADMIN, Method::GET, path, None);
    namespace["metadata"]["labels"] = json!({});
    let (code, _) = plane.request(ADMIN, Method::PUT, path, Some(&namespace));
    assert_eq!(code, 200);
    let is_left = || Caller::of(&another).call("large-0") == Answer::profile("none at all");
    await_condition("it is looked up", is_left, String::new);
    let peak = another.process.peak_resident_bytes();
    assert!(
        peak < before + GROWTH,
        "{peak} bytes with a look-up, {before} before"
    );
}
