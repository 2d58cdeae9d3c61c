//! Answers over TLS that are those of no webhook, or of one in trouble.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::text;
use support::tls::Authority;

use crate::cli_probe::{failure, https, probe, server};

/// A review's answer, with something of it changed.
fn review(uid: &str, change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": uid, "allowed": true},
    });
    change(&mut review);
    server::http("200 OK", &review.to_string())
}

fn denied(uid: &str, code: u16, message: &str) -> Vec<u8> {
    review(uid, |review| {
        review["response"]["allowed"] = false.into();
        review["response"]["status"] = json!({"code": code, "message": message});
    })
}

#[test]
fn responses_that_no_api_server_could_use_are_distinguished() {
    type Answer = fn(&str) -> Vec<u8>;
    const EVIL: &str = "no\u{1b}[2J\u{9b}2J\n\u{202e}way";
    let cases: &[(&str, &str, Answer)] = &[
        ("HTTPError", "HTTP 404: no\\u{1b}", |_| {
            server::http("404 Not Found", EVIL)
        }),
        ("HTTPError", "HTTP 502", |_| {
            server::http("502 Bad Gateway", "<html>")
        }),
        ("HTTPError", "HTTP 204", |_| {
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
        }),
        ("Busy", "too many", |_| {
            server::http("429 Too Many Requests", "too many")
        }),
        ("Busy", "too busy: x", |uid| denied(uid, 429, "x")),
        ("NamespaceUnavailable", "gone", |uid| {
            denied(uid, 503, "gone")
        }),
        ("Denied", "code 403: no\\u{1b}", |uid| {
            denied(uid, 403, EVIL)
        }),
        ("Denied", "code 403: ", |uid| {
            review(uid, |it| it["response"]["allowed"] = false.into())
        }),
        ("NotPodseal", "expected value", |_| {
            server::http("200 OK", "<html>")
        }),
        ("NotPodseal", "EOF", |_| server::http("200 OK", "")),
        ("NotPodseal", "response.uid is x", |_| review("x", |_| ())),
        ("NotPodseal", "response.uid is absent", |_| {
            review("", |_| ())
        }),
        ("NotPodseal", "its kind is absent", |uid| {
            review(uid, |it| it["kind"] = "".into())
        }),
        (
            "NotPodseal",
            "apiVersion is admission.k8s.io/v1beta1",
            |uid| {
                review(uid, |it| {
                    it["apiVersion"] = "admission.k8s.io/v1beta1".into()
                })
            },
        ),
        ("NotPodseal", "its response is absent", |uid| {
            review(uid, |it| it["response"] = Value::Null)
        }),
        ("NotPodseal", "it has a patch", |uid| {
            review(uid, |it| it["response"]["patchType"] = "Nonsense".into())
        }),
        ("NotPodseal", "it has a patch", |uid| {
            review(uid, |it| it["response"]["patch"] = "W10=".into())
        }),
        ("NotPodseal", "invalid type", |uid| {
            review(uid, |it| it["response"]["allowed"] = "yes".into())
        }),
        ("NotPodseal", "AdmissionReview", |_| {
            server::http("200 OK", &format!("{{\"x\":{}", "[".repeat(500_000)))
        }),
        ("NotPodseal", "larger than 1048576 bytes", |_| {
            server::http("200 OK", &" ".repeat(2 << 20))
        }),
        ("NotPodseal", "not HTTP/1.1", |_| {
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()
        }),
        ("NotPodseal", "not HTTP/1.1", |_| {
            let header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
            header.into_bytes()
        }),
        ("BrokenOff", "", |_| {
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()
        }),
        ("BrokenOff", "", |_| Vec::new()),
    ];
    let authority = Authority::new("ours");
    let config = server::config(&authority.issue(), rustls::ALL_VERSIONS, None);
    for (reason, words, answer) in cases {
        let answer = *answer;
        let address = server::answering(config.clone(), move |_, uid| answer(uid));
        let report = failure(&https(address), &authority.pem);
        assert_eq!(report["reason"], *reason, "{report:#}");
        let message = report["message"].as_str().expect("a message");
        assert!(message.contains(words), "{words}: {message}");
        assert!(message.len() < 2000, "{message}");
        // The output for people has no escape codes for a terminal.
        let output = probe(&https(address), &authority.pem, &[]);
        let all = text(&output.stdout) + &text(&output.stderr);
        let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!all.contains(obeyed), "{all:?}");
        assert!(all.contains("failed  mutate"), "{all}");
    }
}

#[test]
fn each_webhook_is_called_and_the_one_that_fails_is_named() {
    let authority = Authority::new("ours");
    let config = server::config(&authority.issue(), rustls::ALL_VERSIONS, None);
    // Hangs up after each answer, as a replica that stops does.
    let address = server::answering(config, |path, uid| match path {
        "/mutate?timeout=10s" => review(uid, |_| ()),
        "/validate?timeout=10s" => denied(uid, 403, "not you"),
        path => panic!("{path}"),
    });
    let output = probe(&https(address), &authority.pem, &[]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.contains("\nok      mutate"), "{stdout}");
    assert!(stdout.contains("\nfailed  validate"), "{stdout}");
    assert!(stdout.contains("code 403: not you"), "{stdout}");
}

#[test]
fn a_validating_webhook_that_patches_is_an_error_and_a_null_patch_is_not() {
    let authority = Authority::new("ours");
    let config = server::config(&authority.issue(), rustls::ALL_VERSIONS, None);
    let address = server::answering(config, |path, uid| {
        review(uid, |it| {
            let null = path.starts_with("/mutate");
            it["response"]["patch"] = if null { Value::Null } else { "W10=".into() };
            it["response"]["patchType"] = if null {
                Value::Null
            } else {
                "JSONPatch".into()
            };
        })
    });
    let report = failure(&https(address), &authority.pem);
    assert_eq!(report["reason"], "NotPodseal", "{report:#}");
    assert_eq!(report["steps"][3]["ok"], true, "{report:#}");
    assert_eq!(report["steps"][4]["step"], "validate", "{report:#}");
}

#[test]
fn a_response_that_arrives_too_slowly_is_not_waited_for() {
    let authority = Authority::new("ours");
    let config = server::config(&authority.issue(), rustls::ALL_VERSIONS, None);
    let address = server::tls("127.0.0.1", config, |stream| {
        server::request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n");
        while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let report = failure(&https(address), &authority.pem);
    assert_eq!(report["reason"], "AnswerTimedOut");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}
