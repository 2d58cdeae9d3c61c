//! Large reviews, costly ones, and responses that are never read.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use cases::costly;
use cases::review::job_review;
use futures::future::join_all;
use serde_json::json;
use support::block_on;
use support::wire::{Wire, frame, post_headers};

use super::{FLAT, is_served, podseal};

/// Reviews that took a replica's memory and its workers, by the name of the pod.
fn costly_reviews() -> Vec<(String, String)> {
    let plain = r#"{"metadata":{"name":"x"},"spec":{"containers":[{"name":"a"}]}}"#;
    let named = |uid: &str, operation: &str, pod: &str, old: Option<&str>| {
        let review = costly::review(operation, pod, old);
        (uid.to_owned(), review.replace("u-1", uid))
    };
    let old = |name: &str, capabilities: usize| {
        let names: Vec<_> = (0..capabilities)
            .map(|n| format!(r#""CAPABILITY_NUMBER_{n}""#))
            .collect();
        let context = format!(r#"{{"capabilities":{{"add":[{}]}}}}"#, names.join(","));
        let container = format!(r#"{{"name":"{name}","securityContext":{context}}}"#);
        format!(r#"{{"metadata":{{"name":"x"}},"spec":{{"containers":[{container}]}}}}"#)
    };
    let mut reviews = vec![
        // The 170 kB that killed a replica, and as much of it as is read.
        named(
            "costly-1",
            "UPDATE",
            plain,
            Some(&old(&"n".repeat(30_000), 20_000)),
        ),
        named(
            "costly-2",
            "UPDATE",
            &old(&"n".repeat(60), 6_001),
            Some(&old(&"n".repeat(60), 6_000)),
        ),
    ];
    let escaped = r"\u006e".repeat(550_000);
    for n in 3..6 {
        let uid = format!("costly-{n}");
        reviews.push(named(&uid, "CREATE", &old(&escaped, 3), None));
    }
    // As many variables as a body of this length may have.
    let vars: Vec<_> = (0..60_000)
        .map(|n| format!(r#"{{"name":"V{n}","value":"{}"}}"#, "v".repeat(30)))
        .collect();
    let pod = format!(
        r#"{{"metadata":{{"name":"x"}},"spec":{{"hostPID":true,"containers":[{{"name":"a","env":[{}]}}]}}}}"#,
        vars.join(",")
    );
    reviews.push(named("costly-6", "CREATE", &pod, None));
    reviews
}

#[test]
fn costly_reviews_take_bounded_memory_are_recorded_and_delay_no_others() {
    let _machine = crate::shared();
    let podseal = podseal();
    let reviews = costly_reviews();
    let in_flight = AtomicUsize::new(reviews.len());
    let answered_meanwhile = block_on(async {
        is_served(&podseal).await;
        let attack = join_all(reviews.iter().map(async |(uid, review)| {
            let mut wire = Wire::http1(&podseal).await;
            let mut decided = 0;
            while decided < 4 {
                let answer = wire.post("/validate?timeout=30s", review).await;
                let answer = answer.expect("an answer");
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                let is_denied = answer.code == 200 && body.contains(r#""allowed":false"#);
                assert!(is_denied, "{uid}: {body}");
                // Together they are more than there is memory for; the others
                // end, so each is decided in the end.
                decided += usize::from(!body.contains("podseal is busy"));
            }
            in_flight.fetch_sub(1, Ordering::Relaxed);
        }));
        let meanwhile = async {
            let mut wire = Wire::http1(&podseal).await;
            let client = podseal.client().build().expect("a client");
            let probe = format!("{}/livez", podseal.status_url);
            let mut answered = 0;
            while in_flight.load(Ordering::Relaxed) > 0 {
                let answer = wire.post("/mutate", &job_review("u", "ci")).await;
                assert_eq!(answer.expect("an answer").code, 200);
                let alive = client.get(&probe).send().await.expect("an answer");
                assert_eq!(alive.status(), 200);
                answered += 1;
            }
            answered
        };
        tokio::join!(attack, meanwhile).1
    });
    println!("{answered_meanwhile} reviews and probes were answered meanwhile");
    assert!(answered_meanwhile > 20, "only {answered_meanwhile}");
    for (uid, _) in &reviews {
        let record = podseal
            .await_event(|event| event["uid"] == uid.as_str() && event["decision"].is_string());
        assert_eq!(record["decision"], "deny", "{record:#}");
    }
    podseal.await_event(|event| event["message"] == "reading a large review");
    // Half of the chart's limit.
    let peak = podseal.process.peak_resident_bytes();
    println!("at most {} MiB were resident", peak >> 20);
    assert!(peak < 128 << 20, "{peak} bytes");
}

#[test]
fn the_large_review_of_one_address_does_not_wait_for_all_of_another() {
    const OF_ATTACKER: usize = 100;
    let _machine = crate::shared();
    let podseal = podseal();
    let (_, review) = costly_reviews().swap_remove(1);
    let client = |address: [u8; 4]| {
        let source = IpAddr::from(address);
        let client = podseal.client().http1_only().local_address(source);
        client.build().expect("a client")
    };
    let url = format!("{}/validate?timeout=30s", podseal.url);
    let ask = async |client: &reqwest::Client, body: &str| {
        let answer = client.post(&url).body(body.to_owned()).send().await;
        answer.expect("an answer").status()
    };
    let (attacker, other) = (client([127, 0, 0, 2]), client([127, 0, 0, 1]));
    let answered = AtomicUsize::new(0);
    let meanwhile = block_on(async {
        let attack = join_all((0..OF_ATTACKER).map(async |_| {
            assert_eq!(ask(&attacker, &review).await, 200);
            answered.fetch_add(1, Ordering::SeqCst);
        }));
        let other = async {
            // It has its connection already, as an API server has.
            assert_eq!(ask(&other, "").await, 400);
            while answered.load(Ordering::SeqCst) < 20 {
                tokio::task::yield_now().await;
            }
            let before = answered.load(Ordering::SeqCst);
            assert_eq!(ask(&other, &review).await, 200);
            answered.load(Ordering::SeqCst) - before
        };
        tokio::join!(attack, other).1
    });
    println!("{meanwhile} of them were answered first");
    // In one line it would wait for nearly all that came before it.
    assert!(
        meanwhile < OF_ATTACKER / 3,
        "{meanwhile} were answered first"
    );
}

#[test]
fn of_many_large_reviews_that_come_again_and_again_some_are_answered() {
    const TRIES: usize = 20;
    // Who is shed tries again at once: the slower the others are decided, the more are in vain.
    let _machine = crate::alone();
    let podseal = podseal();
    let mut pod = cases::fixture("default-with-service");
    pod["spec"]["containers"][0]["args"] = json!(vec!["x".repeat(100); 29_000]);
    let mut review = cases::review::review_of(&pod);
    review["request"]["namespace"] = "ci".into();
    let review = cases::review::as_sent(&review);
    let url = format!("{}/validate?timeout=30s", podseal.url);
    let client = podseal.client().http1_only().build().expect("a client");
    let is_shed = async || {
        let answer = client.post(&url).body(review.clone()).send().await;
        let answer = answer.expect("an answer").bytes().await.expect("a body");
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        answer["response"]["status"]["code"] == 429
    };
    let one_after_another = async || {
        let mut shed = 0;
        for _ in 0..TRIES {
            shed += usize::from(is_shed().await);
        }
        shed
    };
    for many in [4, 6] {
        let shed = block_on(join_all((0..many).map(|_| one_after_another())));
        let shed: usize = shed.into_iter().sum();
        println!("{shed} of {} were shed", many * TRIES);
        assert!(
            shed + TRIES / 2 < many * TRIES,
            "{shed} of {}",
            many * TRIES
        );
    }
}

/// A job whose correction has a long name of a capability. It is as long as a body may
/// be before the server has widened its windows (RFC 9113, section 6.9.2).
fn review_with_a_long_answer() -> String {
    let mut pod = cases::fixture("default-with-service");
    let build = cases::view::container_mut(&mut pod, "build");
    let drop = ["SETUID".to_owned(), "X".repeat(45_000)];
    build["securityContext"]["capabilities"] = json!({"drop": drop});
    let mut review = cases::review::review_of(&pod);
    review["request"]["namespace"] = "ci".into();
    review.to_string()
}

#[test]
fn responses_that_are_never_read_count_against_their_client() {
    const CONNECTIONS: usize = 120;
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    let _machine = crate::shared();
    let podseal = podseal();
    let review = review_with_a_long_answer();
    block_on(async {
        let mut wire = Wire::http1(&podseal).await;
        let answer = wire.post("/mutate", &review).await.expect("an answer");
        assert!(answer.body.len() > 60_000, "{} bytes", answer.body.len());
        let before = podseal.process.resident_bytes();
        let wires = (0..CONNECTIONS).map(async |_| {
            let attacker = [127, 0, 0, 2].into();
            let wire = Wire::http2_from(attacker, &podseal).await;
            let mut wire = wire.expect("a connection");
            // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, section 6.5.2): a byte of each answer.
            let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
            wire.send(&window).await.expect("sent");
            for stream in (1..32).step_by(2) {
                let mut sent = post_headers(stream, 4);
                let mut chunks = review.as_bytes().chunks(16_000).peekable();
                while let Some(chunk) = chunks.next() {
                    let end = u8::from(chunks.peek().is_none());
                    sent.extend(frame(0, end, stream, chunk));
                }
                wire.send(&sent).await.expect("sent");
                loop {
                    let (kind, of, payload) = wire.frame().await.expect("a frame");
                    assert!(!matches!(kind, 3 | 7), "{kind} {of} {payload:?}");
                    if (kind, of) == (HEADERS, stream) {
                        break;
                    }
                }
            }
            wire
        });
        let wires = join_all(wires).await;
        is_served(&podseal).await;
        let cost = podseal.process.peak_resident_bytes() - before;
        // The answers have 115 MB together, and one address a share of 32 MiB.
        assert!(cost < 3 * FLAT, "{cost} bytes more");
        drop(wires);
    });
    podseal.await_metric(r#"podseal_shed_total{reason="memory"}"#, 1.0);
}
