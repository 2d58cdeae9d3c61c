//! How podseal stops, and how it ends a connection that has grown old: no
//! request that a client sends in good faith is lost.

use std::time::Duration;

use cases::review::{NAMESPACES, job_review};
use serde_json::Value;
use support::block_on;
use support::podseal::Podseal;
use support::wire::{Wire, frame, post, post_headers};
use tokio::task::block_in_place;

const GOAWAY: u8 = 7;
const DATA: u8 = 0;
const END_HEADERS: u8 = 4;

fn podseal(arguments: &[&str]) -> Podseal {
    Podseal::with_namespaces(NAMESPACES, arguments)
}

fn terminate(podseal: &Podseal) {
    podseal.process.signal("TERM");
    let is_logged = |event: &Value| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("received SIGTERM")
    };
    block_in_place(|| podseal.await_event(is_logged));
}

#[test]
fn keep_alive_connections_are_answered_and_closed_while_endpoints_drain() {
    let mut podseal = podseal(&["--drain", "2s"]);
    let review = job_review("u", "ci");
    block_on(async {
        let mut wires = Vec::new();
        for _ in 0..8 {
            let mut wire = Wire::http1(&podseal).await;
            let answer = wire.post("/mutate", &review).await.expect("an answer");
            assert!(answer.code == 200 && !answer.is_last(), "{}", answer.header);
            wires.push(wire);
        }
        let mut idle = Wire::http1(&podseal).await;
        idle.post("/mutate", &review).await.expect("an answer");
        terminate(&podseal);
        // New ones come for as long as an endpoint names this replica.
        wires.push(Wire::http1(&podseal).await);
        for mut wire in wires {
            let answer = wire.post("/mutate", &review).await.expect("an answer");
            assert!(answer.code == 200 && answer.is_last(), "{}", answer.header);
            assert_eq!(wire.closed().await, b"");
        }
        assert!(
            idle.is_open().await,
            "closing it first would race its next request"
        );
        idle.closed().await;
    });
    podseal.await_event(|event| event["message"] == "stopped");
    assert_eq!(podseal.process.end(), Some(0));
}

#[test]
fn an_http_2_connection_gets_goaway_and_its_streams_are_answered() {
    let podseal = podseal(&["--drain", "1s"]);
    let review = job_review("u", "ci");
    block_on(async {
        let mut wire = Wire::http2(&podseal).await;
        wire.send(&post_headers(1, END_HEADERS))
            .await
            .expect("a header");
        let (first, rest) = review.as_bytes().split_at(5000);
        wire.send(&frame(DATA, 0, 1, first))
            .await
            .expect("half a body");
        // The server has it, once it answers another.
        let mut other = Wire::http1(&podseal).await;
        other.post("/mutate", &review).await.expect("an answer");
        terminate(&podseal);
        wire.await_frame(GOAWAY).await.expect("GOAWAY");
        wire.send(&frame(DATA, 1, 1, rest)).await.expect("the rest");
        // The server sends its last GOAWAY when its PING is answered, which may be
        // before the review is.
        let (mut answer, mut is_goaway_repeated) = (None, false);
        while answer.is_none() || !is_goaway_repeated {
            let (kind, stream, payload) = wire.frame().await.expect("a frame");
            match kind {
                DATA if !payload.is_empty() => answer = Some((stream, payload)),
                GOAWAY => is_goaway_repeated = true,
                _ => {}
            }
        }
        let (stream, answer) = answer.expect("it was awaited");
        assert_eq!(stream, 1);
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["response"]["uid"], "u");
        wire.closed().await;
    });
}

#[test]
fn a_request_in_flight_is_answered_after_the_drain_and_before_the_end() {
    let mut podseal = podseal(&["--drain", "0s"]);
    let review = job_review("u", "ci");
    block_on(async {
        let request = post("/mutate", &review);
        let (first, rest) = request.split_at(request.len() / 2);
        let mut wire = Wire::http1(&podseal).await;
        wire.send(first).await.expect("half a request");
        let mut other = Wire::http1(&podseal).await;
        other.post("/mutate", &review).await.expect("an answer");
        terminate(&podseal);
        // The idle one is closed when the drain is over: at once.
        other.closed().await;
        wire.send(rest).await.expect("the other half");
        let answer = wire.answer().await.expect("an answer");
        assert!(answer.code == 200 && answer.is_last(), "{}", answer.header);
    });
    podseal.await_event(|event| event["message"] == "stopped");
    assert_eq!(podseal.process.end(), Some(0));
}

#[test]
fn a_second_signal_stops_it_at_once_but_not_the_same_one_sent_twice() {
    let mut podseal = podseal(&["--drain", "1h"]);
    let mut wire = block_on(async {
        let mut wire = Wire::http1(&podseal).await;
        let request = post("/mutate", &job_review("u", "ci"));
        wire.send(&request[..1000]).await.expect("half a request");
        terminate(&podseal);
        wire
    });
    let is_logged = std::time::Instant::now();
    // As `timeout` does, which signals the process and its group.
    podseal.process.signal("TERM");
    while block_on(wire.is_open()) {
        // It may end in this very moment.
        let pid = podseal.process.pid.to_string();
        let _ = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .output();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        is_logged.elapsed() >= Duration::from_millis(900),
        "it was the same"
    );
    assert_eq!(podseal.process.end(), Some(1));
}

#[test]
fn an_old_connection_is_closed_with_a_response_and_never_before_one() {
    let podseal = podseal(&["--max-connection-age", "1s"]);
    let review = job_review("u", "ci");
    block_on(async {
        let mut idle = Wire::http1(&podseal).await;
        idle.post("/mutate", &review).await.expect("an answer");
        let mut http2 = Wire::http2(&podseal).await;
        http2
            .send(&post_headers(1, END_HEADERS))
            .await
            .expect("a header");
        http2
            .send(&frame(DATA, 1, 1, review.as_bytes()))
            .await
            .expect("a body");
        http2.await_frame(DATA).await.expect("an answer");
        let mut wire = Wire::http1(&podseal).await;
        let mut answers = 0;
        loop {
            let answer = wire.post("/mutate", &review).await.expect("an answer");
            assert_eq!(answer.code, 200);
            answers += 1;
            if answer.is_last() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(answers > 1, "the first answer is not the last");
        wire.closed().await;
        http2.await_frame(GOAWAY).await.expect("GOAWAY");
        assert!(
            idle.is_open().await,
            "it has sent nothing yet, so it gets no response"
        );
        let answer = idle.post("/mutate", &review).await.expect("an answer");
        assert!(answer.is_last());
    });
    podseal.await_metric(r#"podseal_connections_closed_total{reason="age"}"#, 2.0);
}

#[test]
fn a_new_http_2_connection_gets_to_send_its_request_while_endpoints_drain() {
    let podseal = podseal(&["--drain", "2s"]);
    let review = job_review("u", "ci");
    block_on(async {
        terminate(&podseal);
        let mut wire = Wire::http2(&podseal).await;
        wire.send(&post_headers(1, END_HEADERS))
            .await
            .expect("a header");
        wire.send(&frame(DATA, 1, 1, review.as_bytes()))
            .await
            .expect("a body");
        let mut kinds = Vec::new();
        loop {
            let (kind, ..) = wire.frame().await.expect("an answer");
            kinds.push(kind);
            if kind == DATA {
                break;
            }
        }
        if !kinds.contains(&GOAWAY) {
            wire.await_frame(GOAWAY).await.expect("GOAWAY");
        }
        wire.closed().await;
    });
}
