//! An API server, or a proxy before it, that responds as if it worked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use support::controlplane::await_condition;
use support::podseal::Podseal;
use support::scripted::{Reply, Request, Scripted, Then, line, list, namespace};

use crate::outages::{Answer, Caller, lists};

/// The scripted server's data for the only namespace.
#[derive(Clone)]
struct Label(Arc<Mutex<&'static str>>);

impl Label {
    fn new(profile: &'static str) -> Label {
        Label(Arc::new(Mutex::new(profile)))
    }

    fn set(&self, profile: &'static str) {
        *self.0.lock().expect("no thread panics with it") = profile;
    }

    fn get(&self) -> &'static str {
        *self.0.lock().expect("no thread panics with it")
    }
}

pub(crate) fn podseal_of(server: &Scripted) -> Podseal {
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(kubeconfig.path(), server.kubeconfig()).expect("a kubeconfig");
    Podseal::start(|command| {
        command.env("KUBECONFIG", kubeconfig.path());
    })
}

fn failure() -> Reply {
    Reply::Json(
        500,
        json!({"kind": "Status", "status": "Failure", "code": 500, "message": "x"}),
    )
}

#[test]
fn headers_without_a_body_do_not_count_as_a_working_watch() {
    let _machine = crate::shared();
    let label = Label::new("rootless");
    let says = label.clone();
    // It lists once, and would be trusted for ever if headers counted.
    let server = Scripted::start(move |request| match request {
        Request::List(0) => list(&[namespace("ci", says.get(), "1")]),
        Request::List(_) | Request::Page(_) => failure(),
        Request::Watch(_) => Reply::Lines(vec![], Then::Silence),
        Request::Get(name) => Reply::Json(200, namespace(name, says.get(), "2")),
    });
    let podseal = podseal_of(&server);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    assert_eq!(caller.call("ci"), Answer::profile("rootless"));
    label.set("root-fuse");
    let start = Instant::now();
    let is_new = || caller.call("ci") == Answer::profile("root-fuse");
    await_condition("it looks up", is_new, String::new);
    assert!(start.elapsed() < Duration::from_secs(15));
    // And it stays so, past the next attempts.
    let tries = || server.received(|request| matches!(request, Request::List(_)));
    await_condition(
        "it tries to list again and again",
        || {
            assert!(is_new());
            tries() >= 4
        },
        String::new,
    );
}

#[test]
fn a_quiet_watch_that_ends_at_its_timeout_is_trusted_without_a_check() {
    let _machine = crate::shared();
    let bookmark = line("BOOKMARK", &json!({"metadata": {"resourceVersion": "2"}}));
    let server = Scripted::start(move |request| match request {
        Request::List(_) | Request::Page(_) => list(&[namespace("ci", "rootless", "1")]),
        // An API server without a watch cache sends no bookmarks.
        Request::Watch(number) if number % 2 == 0 => Reply::Lines(vec![], Then::EndInTime),
        Request::Watch(_) => Reply::Lines(vec![bookmark.clone()], Then::EndInTime),
        Request::Get(_) => failure(),
    });
    let podseal = podseal_of(&server);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    let caller = Caller::of(&podseal);
    let watches = || server.received(|request| matches!(request, Request::Watch(_)));
    let goes_on = || {
        assert_eq!(caller.call("ci"), Answer::profile("rootless"));
        watches() >= 3
    };
    await_condition("it watches for the third time", goes_on, String::new);
    // By now the list alone would be too old.
    assert_eq!(caller.call("ci"), Answer::profile("rootless"));
    assert_eq!(lists(&podseal), 1);
}

#[test]
fn a_watch_that_breaks_in_any_way_is_not_trusted_any_longer() {
    let _machine = crate::shared();
    let gone = json!({"kind": "Status", "code": 410, "message": "too old resource version"});
    let (as_event, as_answer) = (gone.clone(), gone);
    let cut_off = line("MODIFIED", &namespace("ci", "none", "3"));
    let cut_off = cut_off[..40].to_owned();
    let unversioned = json!({"metadata": {"name": "ci"}});
    type Break = Box<dyn Fn() -> Reply + Send + Sync>;
    let breaks: Vec<(&str, Break)> = vec![
        ("410, too old", {
            let line = line("ERROR", &as_event);
            Box::new(move || Reply::Lines(vec![line.clone()], Then::End))
        }),
        ("too old resource version", {
            Box::new(move || Reply::Json(410, as_answer.clone()))
        }),
        ("ended early", {
            Box::new(|| Reply::Lines(vec![], Then::End))
        }),
        ("connection broke", {
            Box::new(|| Reply::Lines(vec![], Then::Cut))
        }),
        ("cannot be read", {
            Box::new(move || Reply::Lines(vec![cut_off.clone()], Then::Silence))
        }),
        ("cannot be read", {
            Box::new(|| Reply::Lines(vec!["<html>".to_owned()], Then::Silence))
        }),
        ("has no resource version", {
            let line = line("BOOKMARK", &unversioned);
            Box::new(move || Reply::Lines(vec![line.clone()], Then::Silence))
        }),
    ];
    for (reason, broken) in breaks {
        // The list hangs after the first: every answer is a live one.
        let server = Scripted::start(move |request| match request {
            Request::List(0) => list(&[namespace("ci", "rootless", "1")]),
            Request::List(_) | Request::Page(_) => Reply::Silence,
            Request::Watch(_) => broken(),
            Request::Get(name) => Reply::Json(200, namespace(name, "root-fuse", "2")),
        });
        let podseal = podseal_of(&server);
        let event = podseal.await_event(|event| event["error"].is_string());
        let error = event["error"].as_str().unwrap_or_default();
        assert!(error.contains(reason), "{reason}: {event:#}");
        let answer = Caller::of(&podseal).call("ci");
        assert_eq!(answer, Answer::profile("root-fuse"), "{reason}");
    }
}

#[test]
fn a_reused_connection_that_is_closed_during_a_look_up_causes_no_denial() {
    let _machine = crate::shared();
    let asked = AtomicUsize::new(0);
    let server = Scripted::start(move |request| match request {
        Request::List(_) | Request::Page(_) => list(&[]),
        Request::Watch(_) => Reply::Lines(vec![], Then::EndInTime),
        // Answers first, and then hangs up on the same connection.
        Request::Get(name) => match asked.fetch_add(1, Ordering::Relaxed) {
            1 => Reply::HangUp,
            _ => Reply::Json(200, namespace(name, "rootless", "2")),
        },
    });
    let podseal = podseal_of(&server);
    let caller = Caller::of(&podseal);
    assert_eq!(caller.call("ci"), Answer::profile("rootless"));
    // What was found of the first is kept.
    assert_eq!(caller.call("ci-2"), Answer::profile("rootless"));
    assert_eq!(
        server.received(|request| matches!(request, Request::Get(_))),
        3
    );
}

#[test]
fn a_server_that_ends_every_watch_at_once_is_not_called_in_a_loop() {
    let _machine = crate::shared();
    let server = Scripted::start(|request| match request {
        Request::List(_) | Request::Page(_) => list(&[]),
        Request::Watch(_) => Reply::Lines(vec![], Then::End),
        Request::Get(_) => failure(),
    });
    let start = Instant::now();
    let podseal = podseal_of(&server);
    // The pauses before these: none, then 0.1 s, 0.2 s, 0.4 s and 0.8 s.
    await_condition("it goes on trying", || lists(&podseal) >= 6, String::new);
    assert!(start.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn a_hanging_server_gets_a_bounded_number_of_look_ups_and_the_others_are_denied() {
    let _machine = crate::shared();
    let (asked, most) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let (now, at_once) = (Arc::clone(&asked), Arc::clone(&most));
    let server = Scripted::start(move |request| match request {
        Request::List(_) | Request::Page(_) => list(&[]),
        Request::Get(_) => {
            let now = Arc::clone(&now);
            at_once.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Reply::Body(Box::new(move |body| {
                let left = body.is_left();
                now.fetch_sub(1, Ordering::SeqCst);
                left
            }))
        }
        _ => Reply::Silence,
    });
    let podseal = podseal_of(&server);
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    // One client has half of the places for reviews, and half of those for look-ups.
    let names: Vec<_> = (0..200).map(|number| format!("n-{number}")).collect();
    let answer = Caller::of(&podseal).call_all(&names);
    let count = |reason: &str| {
        answer
            .iter()
            .filter(|answer| answer.is_denied(reason))
            .count()
    };
    let busy = count("(too many namespaces are being looked up at once)");
    let late = count("(the API server did not answer in time)");
    let is_shed = |answer: &&Answer| matches!(answer, Answer::Denied(429, _));
    let shed = answer.iter().filter(is_shed).count();
    // On a busy machine the last ones arrive when the first ones have timed
    // out.
    assert!(
        busy + late + shed == 200 && late >= 128,
        "{busy}, {late} and {shed}: {answer:?}"
    );
    // The server may not yet have noticed those that timed out a moment ago.
    let most = most.load(Ordering::SeqCst);
    assert!((16..64).contains(&most), "{most}");
    let lines = podseal.lines();
    let warned = |line: &&String| line.contains("cannot look up a namespace");
    assert!(lines.iter().filter(warned).count() <= 2, "{lines:#?}");
}

#[test]
fn a_namespace_that_opts_in_and_is_the_clusters_own_is_warned_of() {
    let _machine = crate::shared();
    let never = "podseal's webhooks are never called for namespaces that begin with kube- or \
        openshift-";
    let warned = |podseal: &Podseal, name: &str| {
        let event = podseal.await_event(|event| event["namespace"] == name);
        assert_eq!(event["message"], never, "{event:#}");
        assert_eq!(event["level"], "WARN", "{event:#}");
    };
    // As it is listed, and once for all that are.
    let server = Scripted::start(|request| match request {
        Request::List(_) | Request::Page(_) => {
            list(&["ci", "kube-ci", "kube-b"].map(|name| namespace(name, "none", "1")))
        }
        Request::Watch(_) => Reply::Lines(vec![], Then::EndInTime),
        Request::Get(_) => failure(),
    });
    let podseal = podseal_of(&server);
    warned(&podseal, "kube-ci");
    await_condition("it lists", || lists(&podseal) == 1, String::new);
    assert!(!podseal.has_logged(|event| event["namespace"] == "kube-b"));
    assert!(!podseal.has_logged(|event| event["namespace"] == "ci"));
    // As it changes.
    let server = Scripted::start(|request| match request {
        Request::List(_) | Request::Page(_) => list(&[]),
        Request::Watch(0) => {
            let names = ["ci", "openshift-ci"].map(|name| namespace(name, "none", "2"));
            let lines = names.map(|namespace| line("ADDED", &namespace));
            Reply::Lines(lines.to_vec(), Then::EndInTime)
        }
        Request::Watch(_) => Reply::Lines(vec![], Then::EndInTime),
        Request::Get(_) => failure(),
    });
    let podseal = podseal_of(&server);
    warned(&podseal, "openshift-ci");
    assert!(!podseal.has_logged(|event| event["namespace"] == "ci"));
}
