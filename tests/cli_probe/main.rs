//! `podseal probe` against podseal, and against what may stand in its place.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::podseal::{Certificate, Podseal};
use support::text;
use support::tls::{Authority, Issued};

mod server;
#[path = "../support/mod.rs"]
mod support;

const NAMESPACES: &str = "
{kind: Namespace, metadata: {name: default}}
---
{kind: Namespace, metadata: {name: ci, labels: {podseal.io/profile: rootless, podseal.io/level: restricted}}}
";

/// A file with `text`, which is removed with the value.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, text).expect("the file can be written");
    file
}

fn command(url: &str, ca: &std::path::Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["probe", url, "--ca-file"]).arg(ca).args(more);
    command
}

/// Probes `url` once, unless `more` says otherwise.
fn probe(url: &str, ca: &str, more: &[&str]) -> Output {
    let ca = file(ca);
    let more = match more.contains(&"--timeout") {
        true => more.to_vec(),
        false => [more, &["--timeout", "0s"]].concat(),
    };
    support::run(command(url, ca.path(), &more), "")
}

/// What `-o json` tells of a probe that fails.
fn failure(url: &str, ca: &str) -> Value {
    let output = probe(url, ca, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["ok"], false);
    assert!(told["cure"].as_str().is_some_and(|cure| cure.len() > 20));
    told
}

fn https(address: SocketAddr) -> String {
    format!("https://{address}")
}

#[test]
fn a_podseal_that_answers_is_told_with_its_certificate_and_every_step() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    for namespace in ["default", "ci"] {
        let output = probe(&podseal.url, &podseal.ca, &["--namespace", namespace]);
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        let steps: Vec<_> = stdout.lines().collect();
        for (line, step) in
            steps
                .iter()
                .zip(["lookup", "connect", "handshake", "mutate", "validate"])
        {
            assert!(line.starts_with(&format!("ok      {step}")), "{stdout}");
        }
        let certificate =
            "TLS 1.3, certificate for 127.0.0.1, localhost, podseal.podseal.svc, until ";
        assert!(stdout.contains(certificate), "{stdout}");
        assert!(
            stdout.ends_with("as an API server needs it to\n"),
            "{stdout}"
        );
        assert!(!stdout.contains('\u{1b}'), "no colour in a pipe: {stdout}");
        // Both records name it for what it is.
        for webhook in ["mutate", "validate"] {
            let record = podseal.await_event(|event| {
                event["webhook"] == webhook && event["namespace"] == namespace
            });
            let found = ["pod", "user", "dry_run", "decision"].map(|field| record[field].clone());
            let wanted = [
                json!("podseal-probe"),
                json!("podseal:probe"),
                json!(true),
                json!("allow"),
            ];
            assert_eq!(found, wanted, "{record:#}");
        }
    }
}

#[test]
fn json_output_has_the_documented_fields_and_reasons() {
    let page = include_str!("../../docs/probe.md");
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let output = probe(&podseal.url, &podseal.ca, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["ok"], true);
    let mut fields = Vec::new();
    for (prefix, object) in [
        ("", &told),
        ("certificate.", &told["certificate"]),
        ("steps[].", &told["steps"][0]),
    ] {
        let keys = object.as_object().expect("an object").keys();
        fields.extend(keys.map(|key| format!("| `{prefix}{key}` |")));
    }
    for field in &fields {
        assert!(page.contains(field), "{field} is not in docs/probe.md");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let (reasons, documented): (Vec<_>, Vec<_>) =
        rows.partition(|line| line.starts_with("| `") && line.as_bytes()[3].is_ascii_uppercase());
    assert_eq!(
        documented.len(),
        fields.len(),
        "docs/probe.md tells of fields there are not"
    );
    let source = include_str!("../../src/probe/trouble.rs");
    for reason in reasons {
        let reason = reason.split('`').nth(1).expect("a reason");
        assert!(
            source.contains(&format!("\"{reason}\"")),
            "there is no {reason}"
        );
    }
    let known = source.lines().filter_map(|line| {
        let word = line
            .trim()
            .strip_prefix('"')
            .or(line.split("(\"").nth(1))?
            .split('"')
            .next()?;
        let is_reason = word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(char::is_alphanumeric);
        is_reason.then_some(word)
    });
    let known: Vec<_> = known.collect();
    assert!(known.len() > 15, "{known:?}");
    for reason in known {
        assert!(
            page.contains(&format!("| `{reason}` |")),
            "{reason} is not in docs/probe.md"
        );
    }
}

/// A server of the certificate `issued`, asked at `host`.
fn served(host: &str, issued: &Issued) -> String {
    let config = server::config(issued, rustls::ALL_VERSIONS, None);
    https(server::tls(host, config, |_| ()))
}

#[test]
fn what_an_api_server_would_not_verify_is_told_by_its_cause() {
    let (authority, other) = (Authority::new("ours"), Authority::new("theirs\u{1b}[2J"));
    let good = authority.issue();
    // Of another authority: made anew, say, while the caBundle is the old one.
    let told = failure(&served("127.0.0.1", &other.issue()), &authority.pem);
    assert_eq!(told["reason"], "UnknownAuthority");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains("issued by CN=theirs\\u{1b}"), "{message}");
    let names = json!(["127.0.0.1", "localhost"]);
    assert_eq!(
        told["certificate"]["names"], names,
        "it is shown, though it is refused"
    );
    // Of another one of the same name: self-managed authorities are called alike.
    let alike = Authority::new("ours").issue();
    let told = failure(&served("127.0.0.1", &alike), &authority.pem);
    assert_eq!(told["reason"], "UnknownAuthority");
    // For another host.
    let told = failure(&served("127.0.0.2", &good), &authority.pem);
    assert_eq!(told["reason"], "WrongName");
    let message = told["message"].as_str().expect("a message");
    assert!(
        message.contains("not for 127.0.0.2, but for 127.0.0.1, localhost"),
        "{message}"
    );
    // At another time.
    let told = failure(
        &served("127.0.0.1", &authority.issue_until(2020)),
        &authority.pem,
    );
    assert_eq!(told["reason"], "Expired");
    assert!(
        told["message"]
            .as_str()
            .expect("text")
            .ends_with("2020-01-01T00:00:00Z")
    );
    let early = authority.issue_between(4000, 4096);
    let told = failure(&served("127.0.0.1", &early), &authority.pem);
    assert_eq!(told["reason"], "NotYetValid");
    assert!(
        told["message"]
            .as_str()
            .expect("text")
            .contains("4000-01-01T00:00:00Z")
    );
    // And several authorities in a file, as while one replaces the other.
    let both = format!("{}{}", other.pem, authority.pem);
    let told = failure(&served("127.0.0.1", &good), &both);
    assert_eq!(
        told["reason"], "BrokenOff",
        "it was verified, and hung up: {told}"
    );
}

#[test]
fn a_certificate_that_is_itself_in_the_file_is_trusted_even_if_it_is_marked_as_an_authority() {
    // As `openssl req -x509` makes it, and API servers take it.
    let issue = |first: i32, last: i32| {
        let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(first, 1, 1);
        params.not_after = rcgen::date_time_ymd(last, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        Issued {
            certificate: params.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    };
    let good = issue(2000, 4000);
    let told = failure(&served("127.0.0.1", &good), &good.certificate);
    assert_eq!(
        told["reason"], "BrokenOff",
        "it was verified, and hung up: {told}"
    );
    let told = failure(&served("127.0.0.2", &good), &good.certificate);
    assert_eq!(told["reason"], "WrongName");
    for (issued, reason) in [
        (issue(2000, 2001), "Expired"),
        (issue(4000, 4001), "NotYetValid"),
    ] {
        let told = failure(&served("127.0.0.1", &issued), &issued.certificate);
        assert_eq!(told["reason"], reason);
    }
}

#[test]
fn a_server_that_wants_a_clients_certificate_is_told_so_with_each_version_of_tls() {
    let clients = Authority::new("clients");
    let (ca, namespaces) = (file(&clients.pem), file(NAMESPACES));
    let podseal = Podseal::start(|command| {
        command.arg("--client-ca").arg(ca.path());
        command.arg("--namespaces").arg(namespaces.path());
    });
    assert_eq!(
        failure(&podseal.url, &podseal.ca)["reason"],
        "ClientCertificate"
    );
    let issued = clients.issue();
    let config = server::config(&issued, &[&rustls::version::TLS12], Some(&clients));
    let address = server::tls("127.0.0.1", config, |_| ());
    assert_eq!(
        failure(&https(address), &clients.pem)["reason"],
        "ClientCertificate"
    );
}

#[test]
fn what_does_not_answer_at_all_is_told_by_how() {
    let ca = Authority::new("ours").pem;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = https(free.local_addr().expect("an address"));
    drop(free);
    assert_eq!(failure(&nobody, &ca)["reason"], "ConnectionRefused");
    let told = failure("https://podseal.nowhere.invalid", &ca);
    assert_eq!(told["reason"], "NameNotFound", "{told}");
    let plain = server::listen("127.0.0.1", |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    assert_eq!(failure(&https(plain), &ca)["reason"], "NotTLS");
    let mute = server::listen("127.0.0.1", |mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    assert_eq!(failure(&https(mute), &ca)["reason"], "NoHandshake");
    let rude = server::listen("127.0.0.1", drop);
    assert_eq!(failure(&https(rude), &ca)["reason"], "BrokenOff");
}

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
fn answers_that_no_api_server_could_use_are_told_apart() {
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
        let told = failure(&https(address), &authority.pem);
        assert_eq!(told["reason"], *reason, "{told:#}");
        let message = told["message"].as_str().expect("a message");
        assert!(message.contains(words), "{words}: {message}");
        assert!(message.len() < 2000, "{message}");
        // For people, nothing that a terminal obeys.
        let output = probe(&https(address), &authority.pem, &[]);
        let all = text(&output.stdout) + &text(&output.stderr);
        let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!all.contains(obeyed), "{all:?}");
        assert!(all.contains("failed  mutate"), "{all}");
    }
}

#[test]
fn each_webhook_is_asked_and_the_one_that_fails_is_named() {
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
fn a_replica_that_stops_answers_still() {
    let podseal = Podseal::with_namespaces(NAMESPACES, &["--drain", "60s"]);
    podseal.await_event(|event| event["message"] == "ready");
    podseal.process.signal("TERM");
    podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("told to stop")
    });
    let output = probe(&podseal.url, &podseal.ca, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn an_answer_that_drips_is_not_waited_for() {
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
    let told = failure(&https(address), &authority.pem);
    assert_eq!(told["reason"], "AnswerTimedOut");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

/// A port that was free a moment ago, below those of outgoing connections.
fn soon() -> SocketAddr {
    let ports = 9000 + u16::try_from(std::process::id() % 2000).expect("it is small")..12_000;
    let mut free = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    free.find(|address| std::net::TcpListener::bind(address).is_ok())
        .expect("one is free")
}

#[test]
fn a_podseal_that_comes_later_is_waited_for_and_the_wait_is_told() {
    let address = soon();
    let certificate = Certificate::new();
    let ca: PathBuf = certificate.folder.path().join("tls.crt");
    let mut command = command(&https(address), &ca, &["--timeout", "60s"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("podseal can be started");
    let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let expected = format!("waiting    {address} refuses connections; trying for ");
    assert!(line.starts_with(&expected), "{line}");
    let namespaces = file(NAMESPACES);
    let _podseal = Podseal::replica(&certificate, |command| {
        command.args(["--listen", &address.to_string()]);
        command.arg("--namespaces").arg(namespaces.path());
    });
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_used_is_told_and_exits_with_2() {
    let authority = Authority::new("ours");
    let (ca, key) = (file(&authority.pem), file(&authority.issue().key));
    let good = "https://127.0.0.1:1";
    let cases: [(&str, &std::path::Path, &[&str], &str); 6] = [
        ("http://127.0.0.1", ca.path(), &[], "by https:// only"),
        ("https://a/mutate", ca.path(), &[], "leave the path out"),
        (
            good,
            "/nonexistent".as_ref(),
            &[],
            "cannot read --ca-file /nonexistent: No such file",
        ),
        (
            good,
            key.path(),
            &[],
            "it holds a private key and no certificate",
        ),
        (
            good,
            ca.path(),
            &["--namespace", "a/b"],
            "a namespace's name has at most",
        ),
        (
            good,
            ca.path(),
            &["--timeout", "10"],
            "a time is a number with its unit",
        ),
    ];
    for (url, ca, more, expected) in cases {
        let output = support::run(command(url, ca, more), "");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
