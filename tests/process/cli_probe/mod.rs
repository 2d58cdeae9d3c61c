//! `podseal probe` against podseal, and against other servers in its place.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::podseal::{Certificate, Podseal};
use support::text;
use support::tls::Authority;

mod answers;
mod certificates;
mod server;

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

/// Probes `url` once, unless `more` has another number.
fn probe(url: &str, ca: &str, more: &[&str]) -> Output {
    let ca = file(ca);
    let more = match more.contains(&"--timeout") {
        true => more.to_vec(),
        false => [more, &["--timeout", "0s"]].concat(),
    };
    support::run(command(url, ca.path(), &more), "")
}

/// The output of `-o json` for a probe that fails.
fn failure(url: &str, ca: &str) -> Value {
    let output = probe(url, ca, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    assert!(report["cure"].as_str().is_some_and(|cure| cure.len() > 20));
    report
}

fn https(address: SocketAddr) -> String {
    format!("https://{address}")
}

#[test]
fn a_podseal_that_answers_is_reported_with_its_certificate_and_every_step() {
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
        assert!(stdout.ends_with("as an API server requires\n"), "{stdout}");
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
    let page = include_str!("../../../docs/probe.md");
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let output = probe(&podseal.url, &podseal.ca, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], true);
    let mut fields = Vec::new();
    for (prefix, object) in [
        ("", &report),
        ("certificate.", &report["certificate"]),
        ("steps[].", &report["steps"][0]),
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
    let source = include_str!("../../../src/probe/failure.rs");
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

#[test]
fn a_server_that_does_not_answer_is_reported_with_how_it_failed() {
    let ca = Authority::new("ours").pem;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = https(free.local_addr().expect("an address"));
    drop(free);
    assert_eq!(failure(&nobody, &ca)["reason"], "ConnectionRefused");
    let report = failure("https://podseal.nowhere.invalid", &ca);
    assert_eq!(report["reason"], "NameNotFound", "{report}");
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

#[test]
fn a_replica_that_is_stopping_still_answers() {
    let podseal = Podseal::with_namespaces(NAMESPACES, &["--drain", "60s"]);
    podseal.await_event(|event| event["message"] == "ready");
    podseal.process.signal("TERM");
    podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("received SIGTERM")
    });
    let output = probe(&podseal.url, &podseal.ca, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

/// A port that was free a moment ago, below those of outgoing connections.
fn soon() -> SocketAddr {
    let ports = 9000 + u16::try_from(std::process::id() % 2000).expect("it is small")..12_000;
    let mut free = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    free.find(|address| std::net::TcpListener::bind(address).is_ok())
        .expect("one is free")
}

#[test]
fn a_podseal_that_starts_later_is_waited_for_and_the_wait_is_reported() {
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
fn invalid_arguments_are_reported_and_exit_with_2() {
    let authority = Authority::new("ours");
    let (ca, key) = (file(&authority.pem), file(&authority.issue().key));
    let good = "https://127.0.0.1:1";
    let cases: [(&str, &std::path::Path, &[&str], &str); 7] = [
        ("http://127.0.0.1", ca.path(), &[], "over https:// only"),
        ("https://a/mutate", ca.path(), &[], "remove the path"),
        (
            good,
            "/nonexistent".as_ref(),
            &[],
            "cannot read --ca-file /nonexistent: No such file",
        ),
        (
            good,
            "/dev/zero".as_ref(),
            &[],
            "--ca-file /dev/zero is larger than 1 MiB; a caBundle is",
        ),
        (
            good,
            key.path(),
            &[],
            "it contains a private key and no certificate",
        ),
        (
            good,
            ca.path(),
            &["--namespace", "a/b"],
            "must be at most 63 lowercase letters",
        ),
        (
            good,
            ca.path(),
            &["--timeout", "10"],
            "must be a number with a unit",
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
