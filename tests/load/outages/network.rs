//! The connection to the API server breaks, and the API server keeps running:
//! somebody relabels namespaces meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use support::controlplane::{ADMIN, ControlPlane, PODSEAL, await_condition};
use support::podseal::Podseal;
use support::proxy::Proxy;

use crate::PLANE;
use crate::outages::{Answer, Caller, lists};

/// How long podseal may believe in a watch that hangs, and some time for a busy
/// machine.
const BOUND: Duration = Duration::from_secs(10 + 5);

/// A podseal that knows the namespace `name`, behind a network of its own.
fn behind_a_proxy(name: &str) -> (Proxy, Podseal, Caller) {
    create(&PLANE, name, "rootless");
    let proxy = Proxy::start(PLANE.apiserver_port());
    let podseal = Podseal::start(|command| {
        command.env("KUBECONFIG", PLANE.kubeconfig_by(PODSEAL, proxy.port));
    });
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    assert_eq!(caller.call(name), Answer::profile("rootless"));
    (proxy, podseal, caller)
}

pub(crate) fn create(plane: &ControlPlane, name: &str, profile: &str) {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"podseal.io/profile": profile}},
    });
    let post = reqwest::Method::POST;
    let (code, answer) = plane.request(ADMIN, post, "/api/v1/namespaces", Some(&namespace));
    assert_eq!(code, 201, "{answer:#}");
}

pub(crate) fn relabel(plane: &ControlPlane, name: &str, profile: &str) {
    let path = format!("/api/v1/namespaces/{name}");
    let (code, mut namespace) = plane.request(ADMIN, reqwest::Method::GET, &path, None);
    assert_eq!(code, 200, "{namespace:#}");
    namespace["metadata"]["labels"]["podseal.io/profile"] = profile.into();
    let (code, answer) = plane.request(ADMIN, reqwest::Method::PUT, &path, Some(&namespace));
    assert_eq!(code, 200, "{answer:#}");
}

/// Calls until the response is `wanted`, and until then accepts only what
/// `meanwhile` sends as a response.
fn await_answer(
    caller: &Caller,
    name: &str,
    wanted: impl Fn(&Answer) -> bool,
    meanwhile: impl Fn(&Answer) -> bool,
) {
    let start = Instant::now();
    loop {
        let answer = caller.call(name);
        if wanted(&answer) {
            return;
        }
        assert!(meanwhile(&answer), "{answer:?} after {:?}", start.elapsed());
        assert!(start.elapsed() < BOUND, "still {answer:?} after {BOUND:?}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

#[test]
fn a_silently_lost_connection_causes_stale_labels_for_some_seconds_and_no_more() {
    let _machine = crate::shared();
    let (proxy, podseal, caller) = behind_a_proxy("lost");
    proxy.lose_connections();
    relabel(&PLANE, "lost", "root-fuse");
    let is_new = |answer: &Answer| *answer == Answer::profile("root-fuse");
    let is_old = |answer: &Answer| *answer == Answer::profile("rootless");
    await_answer(&caller, "lost", is_new, is_old);
    await_condition("it lists again", || lists(&podseal) == 2, String::new);
    relabel(&PLANE, "lost", "userns");
    let is_newer = |answer: &Answer| *answer == Answer::profile("userns");
    await_answer(&caller, "lost", is_newer, is_new);
}

#[test]
fn a_look_up_whose_pooled_connection_was_lost_asks_again_by_a_new_one() {
    let _machine = crate::shared();
    let (proxy, _podseal, caller) = behind_a_proxy("pooled");
    for name in ["pooled-first", "pooled-second"] {
        PLANE.create_namespace(&json!({"metadata": {"name": name}}));
    }
    // This puts a connection into the pool.
    assert_eq!(caller.call("pooled-first"), Answer::profile("none at all"));
    proxy.lose_connections();
    assert_eq!(caller.call("pooled-second"), Answer::profile("none at all"));
}

#[test]
fn an_api_server_that_never_answers_is_reported_as_such_until_it_does() {
    let _machine = crate::shared();
    let (proxy, podseal, caller) = behind_a_proxy("silent");
    proxy.go_silent();
    relabel(&PLANE, "silent", "root-fuse");
    let reason = "\"silent\" (the API server did not answer in time)";
    let is_denied = |answer: &Answer| answer.is_denied(reason);
    let is_old = |answer: &Answer| *answer == Answer::profile("rootless");
    await_answer(&caller, "silent", is_denied, is_old);
    // From here on the old label is never used again.
    assert!(is_denied(&caller.call("silent")));
    proxy.heal();
    let is_new = |answer: &Answer| *answer == Answer::profile("root-fuse");
    await_answer(&caller, "silent", is_new, is_denied);
    await_condition("it lists again", || lists(&podseal) >= 2, String::new);
    assert!(is_new(&caller.call("silent")));
}

#[test]
fn cut_connections_are_noticed_at_once_and_no_stale_label_is_used_after() {
    let _machine = crate::shared();
    let (proxy, podseal, caller) = behind_a_proxy("cut");
    proxy.cut();
    podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.contains("watch of namespaces failed")
    });
    relabel(&PLANE, "cut", "root-fuse");
    let is_denied =
        |answer: &Answer| answer.is_denied("\"cut\" (the API server could not be reached)");
    assert!(is_denied(&caller.call("cut")));
    proxy.heal();
    let is_new = |answer: &Answer| *answer == Answer::profile("root-fuse");
    await_answer(&caller, "cut", is_new, is_denied);
    await_condition("it lists again", || lists(&podseal) == 2, String::new);
}

#[test]
fn a_quiet_watch_is_not_taken_for_a_broken_one() {
    let _machine = crate::shared();
    let (_proxy, podseal, caller) = behind_a_proxy("quiet");
    let start = Instant::now();
    // Longer than two watches last, one after the other: whether a real API
    // server ends them in due time shows after that time only.
    while start.elapsed() < Duration::from_secs(12) {
        assert_eq!(caller.call("quiet"), Answer::profile("rootless"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(lists(&podseal), 1);
    let broke = |event: &serde_json::Value| {
        let message = event["message"].as_str().unwrap_or_default();
        message.contains("watch of namespaces failed")
    };
    assert!(!podseal.has_logged(broke));
}
