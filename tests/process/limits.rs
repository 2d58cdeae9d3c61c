//! How many resources of podseal a client can take, and for how long. Everything
//! here is done by clients that mean no good; a client that does is served
//! meanwhile.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use admission::request::size::Size;
use cases::review::{NAMESPACES, as_sent, job_review, review};
use serde_json::Value;
use support::block_on;
use support::podseal::Podseal;
use support::wire::{Wire, address, post};
use tokio::io::AsyncReadExt;

fn podseal(arguments: &[&str]) -> Podseal {
    Podseal::with_namespaces(NAMESPACES, arguments)
}

/// Posts a review on a connection of its own, and returns the response.
async fn response(podseal: &Podseal, uid: &str) -> Value {
    let mut wire = Wire::http1(podseal).await;
    let answer = wire.post("/mutate", &job_review(uid, "ci")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, 200);
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer["response"]["uid"], uid);
    answer["response"].clone()
}

async fn is_served(podseal: &Podseal) {
    let response = response(podseal, "good").await;
    assert_eq!(response["patchType"], "JSONPatch", "{response:#}");
}

/// A connection on which a request was answered.
async fn known(podseal: &Podseal) -> Wire {
    let mut wire = Wire::http1(podseal).await;
    let answer = wire.post("/mutate", &job_review("u", "ci")).await;
    assert_eq!(answer.expect("an answer").code, 200);
    wire
}

#[test]
fn a_client_that_sends_no_tls_handshake_is_dropped() {
    let podseal = podseal(&["--handshake-timeout", "300ms"]);
    block_on(async {
        let stream = tokio::net::TcpStream::connect(address(&podseal)).await;
        let mut silent = stream.expect("podseal listens");
        let mut rest = Vec::new();
        silent.read_to_end(&mut rest).await.expect("the end");
        assert_eq!(rest, b"");
        is_served(&podseal).await;
    });
    podseal.await_metric(
        r#"podseal_tls_handshake_failures_total{reason="timeout"}"#,
        1.0,
    );
}

#[test]
fn a_client_that_sends_no_request_is_dropped_in_either_protocol() {
    let arguments = ["--handshake-timeout", "300ms", "--header-timeout", "300ms"];
    let podseal = podseal(&arguments);
    block_on(async {
        // A client of HTTP/1.1 may have dialled ahead, and is not told otherwise
        // before it uses what it dialled.
        let mut unused = Wire::http1(&podseal).await;
        let mut half = Wire::http1(&podseal).await;
        let part = b"POST /mutate HTTP/1.1\r\nho";
        half.send(part).await.expect("sent");
        let mut preface = Wire::connect(&podseal, b"h2").await.expect("a handshake");
        preface.send(b"PRI * HTTP/2.0\r\n").await.expect("sent");
        let http2 = Wire::http2(&podseal).await;
        tokio::join!(half.closed(), preface.closed(), http2.closed());
        let answer = unused.post("/mutate", &job_review("u", "ci")).await;
        assert_eq!(answer.expect("an answer").code, 200);
    });
    podseal.await_metric(
        r#"podseal_connections_closed_total{reason="no_request"}"#,
        2.0,
    );
    podseal.await_metric(
        r#"podseal_connections_closed_total{reason="header_timeout"}"#,
        1.0,
    );
}

#[test]
fn a_connection_that_is_never_used_is_closed_in_the_end() {
    let podseal = podseal(&["--idle-timeout", "300ms"]);
    block_on(async {
        assert_eq!(Wire::http1(&podseal).await.closed().await, b"");
        is_served(&podseal).await;
    });
}

#[test]
fn clients_with_unfinished_requests_are_dropped_at_the_connection_limit() {
    let podseal = podseal(&["--max-connections", "8", "--body-timeout", "30s"]);
    block_on(async {
        let request = post("/mutate?timeout=30s", &job_review("u", "ci"));
        let mut held = Vec::new();
        for _ in 0..8 {
            let mut wire = Wire::http1(&podseal).await;
            wire.send(&request[..request.len() - 1])
                .await
                .expect("sent");
            held.push(wire);
        }
        let start = std::time::Instant::now();
        is_served(&podseal).await;
        let time = start.elapsed();
        assert!(
            time < Duration::from_secs(20),
            "their bodies have 27 s: {time:?}"
        );
    });
}

#[test]
fn a_connection_with_half_a_header_is_dropped_before_an_idle_one() {
    let podseal = podseal(&["--header-timeout", "300ms"]);
    block_on(async {
        let mut idle = known(&podseal).await;
        let mut half = known(&podseal).await;
        half.send(b"POST /mutate HTTP/1.1\r\nho")
            .await
            .expect("sent");
        assert_eq!(half.closed().await, b"");
        assert!(idle.is_open().await);
        let answer = idle.post("/mutate", &job_review("u", "ci")).await;
        assert_eq!(answer.expect("an answer").code, 200);
    });
    podseal.await_metric(
        r#"podseal_connections_closed_total{reason="header_timeout"}"#,
        1.0,
    );
}

#[test]
fn a_body_that_does_not_arrive_is_answered_with_408() {
    let podseal = podseal(&["--body-timeout", "300ms"]);
    block_on(async {
        let request = post("/mutate", &job_review("u", "ci"));
        let mut wire = Wire::http1(&podseal).await;
        wire.send(&request[..request.len() - 1])
            .await
            .expect("sent");
        assert_eq!(wire.answer().await.expect("an answer").code, 408);
        is_served(&podseal).await;
    });
    podseal.await_metric(
        r#"podseal_refused_requests_total{reason="body_timeout"}"#,
        1.0,
    );
}

#[test]
fn a_body_is_not_awaited_longer_than_the_api_server_awaits_the_answer() {
    let podseal = podseal(&[]);
    block_on(async {
        let request = post("/mutate?timeout=1s", &job_review("u", "ci"));
        let mut wire = Wire::http1(&podseal).await;
        wire.send(&request[..request.len() - 1])
            .await
            .expect("sent");
        let start = std::time::Instant::now();
        assert_eq!(wire.answer().await.expect("an answer").code, 408);
        assert!(
            start.elapsed() < Duration::from_secs(9),
            "the default is ten"
        );
    });
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let podseal = podseal(&["--idle-timeout", "300ms"]);
    block_on(async {
        assert_eq!(known(&podseal).await.closed().await, b"");
        is_served(&podseal).await;
    });
    podseal.await_metric(r#"podseal_connections_closed_total{reason="idle"}"#, 1.0);
}

#[test]
fn a_client_that_reads_no_responses_is_dropped_and_takes_little_memory() {
    let podseal = podseal(&["--idle-timeout", "500ms", "--header-timeout", "500ms"]);
    block_on(async {
        let mut wire = known(&podseal).await;
        let before = podseal.process.resident_bytes();
        let request = post("/mutate", &job_review("u", "ci"));
        // More responses than fit into the socket buffers; sending stops,
        // and then fails.
        let many = async { while wire.send(&request).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(60), many)
            .await
            .expect("it is dropped");
        let grown = podseal.process.resident_bytes().saturating_sub(before);
        assert!(grown < 32 << 20, "{grown} bytes more");
        is_served(&podseal).await;
    });
}

#[test]
fn at_the_limit_a_connection_without_a_request_is_dropped_before_one_that_had_some() {
    let podseal = podseal(&["--max-connections", "8"]);
    block_on(async {
        let mut known = known(&podseal).await;
        let mut silent = Vec::new();
        for _ in 0..7 {
            silent.push(Wire::http1(&podseal).await);
        }
        // Each new connection replaces the oldest silent one.
        for _ in 0..3 {
            is_served(&podseal).await;
        }
        assert_eq!(silent.remove(0).closed().await, b"");
        let answer = known.post("/mutate", &job_review("u", "ci")).await;
        assert_eq!(answer.expect("an answer").code, 200);
    });
    podseal.await_metric(r#"podseal_connections_closed_total{reason="evicted"}"#, 1.0);
}

#[test]
fn a_review_over_the_memory_for_bodies_is_shed_with_a_429_to_retry() {
    let podseal = podseal(&["--max-body-memory", "6MiB"]);
    block_on(async {
        let request = |bytes: usize| {
            let filler = "x".repeat(bytes);
            let large = review("large", "ci", &serde_json::json!({"spec": {"x": filler}}));
            post("/mutate", &as_sent(&large))
        };
        let mut holders = Vec::new();
        for bytes in [1_000_000; 4].into_iter().chain([500_000, 250_000]) {
            let mut holder = Wire::http1(&podseal).await;
            let request = request(bytes);
            let sent = holder.send(&request[..request.len() - 1]).await;
            sent.expect("sent");
            holders.push(holder);
        }
        // The memory is reserved once others notice.
        let shed = loop {
            let response = response(&podseal, "shed").await;
            if response["allowed"] == false {
                break response;
            }
        };
        let status = &shed["status"];
        assert_eq!(status["code"], 429, "{shed:#}");
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
        let message = status["message"].as_str().expect("a message");
        assert!(message.starts_with("podseal is busy: "), "{message}");
        let mut first = holders.remove(0);
        drop(holders);
        first.send(b"}").await.expect("sent");
        assert_eq!(first.answer().await.expect("an answer").code, 200);
        while response(&podseal, "again").await["allowed"] == false {}
        is_served(&podseal).await;
    });
    podseal.await_event(|event| event["message"] == "shed a review");
    podseal.await_metric(r#"podseal_shed_total{reason="memory"}"#, 1.0);
}

#[test]
fn one_address_cannot_take_all_memory_for_bodies() {
    let podseal = podseal(&["--max-body-memory", "8MiB"]);
    let shed = r#"podseal_shed_total{reason="memory"}"#;
    block_on(async {
        let filler = "x".repeat(1_000_000);
        let large = review("large", "ci", &serde_json::json!({"spec": {"x": filler}}));
        let request = post("/mutate", &as_sent(&large));
        let attacker = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let mut holders = Vec::new();
        for _ in 0..12 {
            let wire = Wire::connect_from(attacker, &podseal, b"http/1.1").await;
            let mut wire = wire.expect("a handshake");
            let sent = wire.send(&request[..request.len() - 1]).await;
            sent.expect("sent");
            holders.push(wire);
        }
        // The memory is reserved once one more review of the same address
        // is shed.
        let is_full = async || {
            let wire = Wire::connect_from(attacker, &podseal, b"http/1.1").await;
            let mut wire = wire.expect("a handshake");
            let answer = wire.post("/mutate", &as_sent(&large)).await;
            let body = answer.expect("an answer").body;
            String::from_utf8_lossy(&body).contains("too much memory at once")
        };
        while !is_full().await {}
        for _ in 0..20 {
            is_served(&podseal).await;
        }
        drop(holders);
    });
    podseal.await_metric(shed, 1.0);
}

/// An API server that accepts connections and never responds, so that each look-up
/// takes as long as one may.
fn podseal_of_a_silent_api_server(
    arguments: &[&str],
) -> (Podseal, std::net::TcpListener, tempfile::NamedTempFile) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = format!("https://{}", silent.local_addr().expect("an address"));
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
         clusters: [{{name: x, cluster: {{server: '{server}'}}}}]\n\
         contexts: [{{name: x, context: {{cluster: x, user: x}}}}]\n\
         users: [{{name: x, user: {{token: x}}}}]\n"
    );
    std::fs::write(kubeconfig.path(), text).expect("a kubeconfig");
    let podseal = Podseal::start(|command| {
        command.env("KUBECONFIG", kubeconfig.path());
        command.args(arguments);
    });
    (podseal, silent, kubeconfig)
}

/// A review that takes as much memory as one may, and not more than `most` in all.
fn of_size(most: usize) -> String {
    let body = |objects: usize| {
        let pod = format!(
            r#"{{"spec":{{"x":"{}","y":[{}{{}}]}}}}"#,
            "x".repeat(3_500_000),
            "{},".repeat(objects)
        );
        let review = as_sent(&review("large", "ci", &serde_json::json!({"spec": "POD"})));
        review.replace(r#"{"spec":"POD"}"#, &pod)
    };
    let takes = |body: &str| {
        let size = Size::of(body.as_bytes());
        assert_eq!(size.excess, None);
        size.bytes + body.len().next_power_of_two()
    };
    let of_one = (takes(&body(20_000)) - takes(&body(10_000))).div_ceil(10_000);
    let objects = (most - takes(&body(10_000))) / of_one + 10_000;
    let body = body(objects);
    assert!(takes(&body) <= most && takes(&body) > most - (64 << 10));
    body
}

#[test]
fn one_address_cannot_take_all_memory_with_one_review_after_the_other() {
    const MOST: usize = 64 << 20;
    let (podseal, _silent, _kubeconfig) = podseal_of_a_silent_api_server(&[]);
    let attacker = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    // All memory that is left while others have a little, and what one address
    // can take.
    let largest = [MOST - (512 << 10), MOST / 8 * 7 - (1 << 20)].map(of_size);
    block_on(async {
        let is_over = AtomicBool::new(false);
        let attack = async {
            let wire = Wire::connect_from(attacker, &podseal, b"http/1.1").await;
            let mut wire = wire.expect("a handshake");
            let mut waited = 0;
            for body in largest.iter().cycle().take(6) {
                let answer = wire.post("/mutate", body).await.expect("an answer");
                let answer = String::from_utf8_lossy(&answer.body).into_owned();
                waited += usize::from(answer.contains("did not answer in time"));
            }
            is_over.store(true, Ordering::Relaxed);
            waited
        };
        let small = as_sent(&review("good", "ci", &serde_json::json!({"spec": {}})));
        // Each waits two seconds, and they come one after the other.
        let meanwhile = futures::future::join_all((0..3).map(async |client: u32| {
            tokio::time::sleep(Duration::from_millis(700) * client).await;
            let mut shed = Vec::new();
            let mut wire = Wire::http1(&podseal).await;
            while !is_over.load(Ordering::Relaxed) {
                let answer = wire.post("/mutate", &small).await.expect("an answer");
                let answer = String::from_utf8_lossy(&answer.body).into_owned();
                shed.extend(
                    Some(answer).filter(|answer| answer.contains("too much memory at once")),
                );
            }
            shed
        }));
        let (waited, shed) = tokio::join!(attack, meanwhile);
        let shed = shed.concat();
        assert!(waited >= 3, "only {waited} waited for their namespace");
        assert!(shed.is_empty(), "{} were shed: {}", shed.len(), shed[0]);
    });
}

#[test]
fn a_review_over_the_number_decided_at_once_is_shed_while_others_wait_for_the_api_server() {
    let (podseal, _silent, _kubeconfig) = podseal_of_a_silent_api_server(&["--max-reviews", "1"]);
    block_on(async {
        let all = ["a", "b", "c", "d"].map(|uid| response(&podseal, uid));
        let all = futures::future::join_all(all).await;
        let codes = |wanted| all.iter().filter(|r| r["status"]["code"] == wanted).count();
        assert_eq!((codes(503), codes(429)), (1, 3), "{all:#?}");
    });
    podseal.await_metric(r#"podseal_shed_total{reason="concurrency"}"#, 3.0);
}
