//! The status port, as the kubelet, Prometheus and other clients call it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::podseal::{Podseal, write_certificate};
use support::{block_on, text, tls};

const NAMESPACES: &str =
    "{kind: Namespace, metadata: {name: ci, labels: {podseal.io/profile: rootless}}}";

/// A podseal that is ready.
fn ready() -> Podseal {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    podseal.await_event(|event| event["message"] == "ready");
    podseal
}

fn connect(podseal: &Podseal) -> TcpStream {
    let address = podseal.status_url.strip_prefix("http://").expect("a URL");
    let stream = TcpStream::connect(address).expect("the status port listens");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a timeout");
    stream
}

#[test]
fn a_podseal_with_certificate_namespaces_and_a_passed_self_probe_is_ready() {
    let podseal = ready();
    assert_eq!(podseal.status("/livez"), (200, "ok".to_owned()));
    assert_eq!(podseal.status("/readyz"), (200, "ok".to_owned()));
    let verbose = "[+]certificate ok\n[+]namespaces ok\n[+]self-probe ok\n[+]shutdown ok\n\
        readyz check passed\n";
    assert_eq!(podseal.status("/readyz?verbose"), (200, verbose.to_owned()));
    assert_eq!(podseal.status("/readyz/self-probe"), (200, "ok".to_owned()));
    let (code, body) = podseal.status("/livez?verbose=1");
    assert_eq!(
        (code, &*body),
        (200, "[+]ping ok\n[+]audit-log ok\nlivez check passed\n")
    );
}

/// A kubeconfig that leads nowhere.
fn no_cluster() -> tempfile::NamedTempFile {
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    let closed = "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
        clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {token: x}}]\n";
    std::fs::write(kubeconfig.path(), closed).expect("a kubeconfig");
    kubeconfig
}

#[test]
fn certificates_that_cannot_be_stored_are_logged_with_cause_and_object_and_not_all_the_time() {
    let kubeconfig = no_cluster();
    let podseal = Podseal::start(|command| {
        command.env("KUBECONFIG", kubeconfig.path());
        command.args(["--tls-mode", "self-managed", "--namespace", "ns"]);
    });
    let failures = "podseal_certificate_upkeep_total{what=\"failure\"}";
    podseal.await_metric(failures, 6.0);
    for object in [
        "Secret ns/podseal-tls",
        "MutatingWebhookConfiguration podseal",
        "ValidatingWebhookConfiguration podseal",
    ] {
        let broke = podseal.await_event(|event| event["object"] == object);
        assert_eq!(broke["error"], "Connection refused (os error 111)");
    }
    let is_failure = |line: &&String| line.contains("certificate reconciliation failed");
    let lines = podseal.lines();
    let logged: Vec<_> = lines.iter().filter(is_failure).collect();
    assert!(logged.len() < 4, "{logged:#?}");
    assert!(
        logged[0].contains("\"Connection refused (os error 111)\""),
        "{logged:#?}"
    );
}

#[test]
fn a_podseal_that_never_reached_its_cluster_is_alive_but_not_ready_and_reports_why() {
    let kubeconfig = no_cluster();
    let podseal = Podseal::start(|command| {
        command.env("KUBECONFIG", kubeconfig.path());
    });
    let failed = "[-]namespaces failed: the namespaces have not been listed yet\n";
    let (code, body) = podseal.status("/readyz");
    assert!(code == 503 && body.contains(failed), "{body}");
    assert!(body.ends_with("readyz check failed\n"), "{body}");
    let (code, body) = podseal.status("/readyz/namespaces");
    assert_eq!((code, body.starts_with("failed: ")), (503, true), "{body}");
    assert_eq!(podseal.status("/readyz/certificate").0, 200);
    assert_eq!(podseal.status("/livez").0, 200);
    // What is excluded does not count; the rest still does.
    let (_, body) = podseal.status("/readyz?exclude=namespaces&exclude=self-probe&verbose");
    assert!(body.contains("[+]namespaces excluded: ok\n"), "{body}");
    assert!(body.ends_with("readyz check passed\n"), "{body}");
}

#[test]
fn an_expired_certificate_is_served_but_not_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let ca = params.self_signed(&key).expect("a certificate").pem();
    std::fs::write(folder.path().join("tls.crt"), &ca).expect("it can be written");
    std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).expect("it can be written");
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&namespaces, NAMESPACES).expect("the file can be written");
    let podseal = Podseal::with_certificate(folder.path(), ca, |command| {
        command.arg("--namespaces").arg(namespaces.path());
    });
    let (code, body) = podseal.status("/readyz");
    let failed = "[-]certificate failed: the serving certificate has expired\n";
    assert!(code == 503 && body.contains(failed), "{body}");
    let expiry = podseal.metric("podseal_certificate_expiry_timestamp_seconds");
    assert_eq!(expiry, Some(1_009_843_200.0));
    let warning = podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("serving a certificate that clients will reject")
    });
    let problem = warning["problem"].as_str().expect("a problem");
    assert_eq!(warning["level"], "WARN");
    assert!(
        problem.contains("tls.crt expired at 2002-01-01T00:00:00Z; renew it"),
        "{problem}"
    );
    // It becomes ready once it has one that is valid.
    assert!(!podseal.has_logged(|event| event["message"] == "ready"));
    write_certificate(folder.path());
    let ready = podseal.await_event(|event| event["message"] == "ready");
    assert!(ready["elapsed_ms"].is_u64(), "{ready}");
}

#[test]
fn an_unknown_path_of_the_status_port_is_answered_with_the_known_ones() {
    let podseal = ready();
    for path in ["/", "/mutate", "/metrics/x"] {
        let (code, body) = podseal.status(path);
        assert_eq!((code, body.contains("/readyz")), (404, true), "{body}");
    }
    let (code, body) = podseal.status("/readyz/nothing");
    assert_eq!((code, body.contains("self-probe")), (404, true), "{body}");
    let (code, body) = podseal.status("/readyz?exclude=no%0athing&verbose");
    let warning = "warn: some checks cannot be excluded: no matches for \"no%0athing\"\n";
    assert!(code == 200 && body.contains(warning), "{body}");
    let post = podseal.client().build().expect("a client");
    let post = post.post(format!("{}/readyz", podseal.status_url)).send();
    assert_eq!(block_on(post).expect("an answer").status(), 405);
}

#[test]
fn a_client_with_all_connections_of_the_status_port_does_not_block_others() {
    let podseal = ready();
    let mut held: Vec<_> = (0..200).map(|_| connect(&podseal)).collect();
    let (first, last) = (0, held.len() - 1);
    held[last]
        .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("the newest connection is kept");
    let mut answer = String::new();
    held[last].read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let end = held[first].read(&mut [0]);
    assert!(
        matches!(end, Ok(0) | Err(_)),
        "the oldest gave way: {end:?}"
    );
    for _ in 0..100 {
        assert_eq!(podseal.status("/livez").0, 200);
    }
    let open = podseal.metric("process_open_fds").expect("the figure");
    assert!(open < 150.0, "{open} with 200 connections");
}

#[test]
fn a_header_over_the_limit_is_rejected() {
    let podseal = ready();
    let mut stream = connect(&podseal);
    let header = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let _ = stream.write_all(header.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!text(&answer).starts_with("HTTP/1.1 200"));
    assert_eq!(podseal.status("/livez").0, 200);
}

#[test]
fn it_is_not_ready_from_the_signal_to_stop_until_it_ends() {
    let mut podseal = ready();
    // podseal ends only after the request in flight.
    let client = tls::client(&podseal.ca, rustls::DEFAULT_VERSIONS, None);
    let mut stream = tls::connect(&podseal.url, &client);
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).expect("half a request");
    stream.flush().expect("half a request");
    podseal.await_metric("podseal_requests_in_flight", 1.0);
    podseal.process.signal("TERM");
    podseal.await_event(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("received SIGTERM")
    });
    let (code, body) = podseal.status("/readyz");
    assert!(
        code == 503 && body.contains("[-]shutdown failed: shutting down\n"),
        "{body}"
    );
    assert_eq!(podseal.status("/livez").0, 200);
    stream.write_all(b" more").expect("the other half");
    let mut answer = Vec::new();
    // Some close without TLS's close_notify.
    let _ = stream.read_to_end(&mut answer);
    assert!(text(&answer).starts_with("HTTP/1.1 400"), "it is no review");
    assert_eq!(podseal.process.end(), Some(0));
}

#[test]
fn the_self_probe_finds_a_port_that_listens_everywhere() {
    for address in ["[::]:0", "0.0.0.0:0"] {
        if std::net::TcpListener::bind(address).is_err() {
            assert_eq!(address, "[::]:0", "a machine without IPv6");
            continue;
        }
        let namespaces = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&namespaces, NAMESPACES).expect("the file can be written");
        let podseal = Podseal::start(|command| {
            command.args(["--listen", address]);
            command.arg("--namespaces").arg(namespaces.path());
        });
        podseal.await_event(|event| event["message"] == "ready");
    }
}
