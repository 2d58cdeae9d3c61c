//! The API server itself stops, or loses its history.

use std::time::{Duration, Instant};

use serde_json::json;
use support::controlplane::{ADMIN, ControlPlane, PODSEAL, await_condition};
use support::podseal::Podseal;
use support::proxy::Proxy;

use crate::outages::network::{create, relabel};
use crate::outages::{Answer, Caller, lists};

/// How long the API server is gone: PODSEAL_TEST_OUTAGE_SECONDS, or some.
fn outage() -> Duration {
    let seconds = std::env::var("PODSEAL_TEST_OUTAGE_SECONDS");
    let seconds = seconds.map_or(4, |seconds| seconds.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

#[test]
fn while_the_api_server_is_down_jobs_are_denied_and_labels_changed_then_apply_after() {
    let _machine = crate::shared();
    let plane = ControlPlane::start();
    create(&plane, "ci", "rootless");
    create(&plane, "left", "rootless");
    let proxy = Proxy::start(plane.apiserver_port());
    let podseal = Podseal::start(|command| {
        command.env("KUBECONFIG", plane.kubeconfig_by(PODSEAL, proxy.port));
    });
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    assert_eq!(caller.call("ci"), Answer::profile("rootless"));

    plane.stop_apiserver();
    podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.contains("watch of namespaces failed")
    });
    let start = Instant::now();
    let mut denied = 0;
    while start.elapsed() < outage() {
        let answer = caller.call("ci");
        let reason = "namespace \"ci\" (the API server could not be reached)";
        assert!(answer.is_denied(reason), "{answer:?}");
        denied += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    // Anybody can cause these, so there is a line in some seconds only.
    let warned = podseal.lines();
    let warned = warned
        .iter()
        .filter(|line| line.contains("cannot look up"))
        .count();
    let most = 2 + usize::try_from(start.elapsed().as_secs() / 5).expect("it is short");
    assert!(
        denied > most && (1..=most).contains(&warned),
        "{warned} lines for {denied} denials"
    );

    // Back, but for podseal not yet: what is relabelled now it has not seen.
    proxy.cut();
    plane.start_apiserver();
    relabel(&plane, "ci", "root-fuse");
    let path = "/api/v1/namespaces/left";
    let (_, mut left) = plane.request(ADMIN, reqwest::Method::GET, path, None);
    left["metadata"]["labels"] = json!({});
    let (code, answer) = plane.request(ADMIN, reqwest::Method::PUT, path, Some(&left));
    assert_eq!(code, 200, "{answer:#}");
    proxy.heal();
    let is_right = || match caller.call("ci") {
        Answer::Profile(profile) => profile == "root-fuse" || panic!("an old label: {profile}"),
        Answer::Denied(..) => false,
    };
    await_condition("the new label applies", is_right, String::new);
    await_condition("it lists again", || lists(&podseal) == 2, String::new);
    assert_eq!(caller.call("ci"), Answer::profile("root-fuse"));
    assert_eq!(caller.call("left"), Answer::profile("none at all"));
}

#[test]
fn a_watch_that_expired_restarts_with_everything_that_happened() {
    let _machine = crate::shared();
    // Without its watch cache the API server knows only what etcd remembers,
    // and sends no bookmarks.
    let plane = ControlPlane::start_with(&["--watch-cache=false"]);
    create(&plane, "ci", "rootless");
    let podseal = Podseal::for_cluster(&plane);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    // Nothing of this concerns the watch, which so stays where it was.
    for number in 0..5 {
        let namespace = json!({"metadata": {"name": format!("other-{number}")}});
        let post = reqwest::Method::POST;
        let (code, answer) = plane.request(ADMIN, post, "/api/v1/namespaces", Some(&namespace));
        assert_eq!(code, 201, "{answer:#}");
    }
    plane.compact();
    let broke = podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.contains("watch of namespaces failed")
    });
    let error = broke["error"].as_str().unwrap_or_default();
    assert!(error.contains("410"), "{broke:#}");
    await_condition("it lists again", || lists(&podseal) == 2, String::new);
    let caller = Caller::of(&podseal);
    relabel(&plane, "ci", "root-fuse");
    let is_new = || caller.call("ci") == Answer::profile("root-fuse");
    await_condition("the new label applies", is_new, String::new);
}
