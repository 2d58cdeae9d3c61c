//! Certificates that API servers would accept, and others that they would not.

use serde_json::json;
use support::podseal::Podseal;
use support::tls::{Authority, Issued};

use crate::cli_probe::{NAMESPACES, failure, file, https, server};

/// A server with the certificate `issued`, called at `host`.
fn served(host: &str, issued: &Issued) -> String {
    let config = server::config(issued, rustls::ALL_VERSIONS, None);
    https(server::tls(host, config, |_| ()))
}

#[test]
fn a_certificate_that_an_api_server_would_not_verify_is_reported_with_the_cause() {
    let (authority, other) = (Authority::new("ours"), Authority::new("theirs\u{1b}[2J"));
    let good = authority.issue();
    // Of another authority: a new one, for example, while the caBundle has the
    // old one.
    let report = failure(&served("127.0.0.1", &other.issue()), &authority.pem);
    assert_eq!(report["reason"], "UnknownAuthority");
    let message = report["message"].as_str().expect("a message");
    assert!(message.contains("issued by CN=theirs\\u{1b}"), "{message}");
    let names = json!(["127.0.0.1", "localhost"]);
    assert_eq!(
        report["certificate"]["names"], names,
        "it is shown, though it is refused"
    );
    // Of another one of the same name: all self-managed authorities have the
    // same name.
    let alike = Authority::new("ours").issue();
    let report = failure(&served("127.0.0.1", &alike), &authority.pem);
    assert_eq!(report["reason"], "UnknownAuthority");
    // For another host.
    let report = failure(&served("127.0.0.2", &good), &authority.pem);
    assert_eq!(report["reason"], "WrongName");
    let message = report["message"].as_str().expect("a message");
    assert!(
        message.contains("not for 127.0.0.2, but for 127.0.0.1, localhost"),
        "{message}"
    );
    // At another time.
    let report = failure(
        &served("127.0.0.1", &authority.issue_until(2020)),
        &authority.pem,
    );
    assert_eq!(report["reason"], "Expired");
    assert!(
        report["message"]
            .as_str()
            .expect("text")
            .ends_with("2020-01-01T00:00:00Z")
    );
    let early = authority.issue_between(4000, 4096);
    let report = failure(&served("127.0.0.1", &early), &authority.pem);
    assert_eq!(report["reason"], "NotYetValid");
    assert!(
        report["message"]
            .as_str()
            .expect("text")
            .contains("4000-01-01T00:00:00Z")
    );
    // And several authorities in a file, as while one replaces the other.
    let both = format!("{}{}", other.pem, authority.pem);
    let report = failure(&served("127.0.0.1", &good), &both);
    assert_eq!(
        report["reason"], "BrokenOff",
        "it was verified, and hung up: {report}"
    );
}

#[test]
fn a_certificate_that_is_itself_in_the_file_is_trusted_even_if_it_is_marked_as_an_authority() {
    // As `openssl req -x509` makes it, and API servers accept it.
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
    let report = failure(&served("127.0.0.1", &good), &good.certificate);
    assert_eq!(
        report["reason"], "BrokenOff",
        "it was verified, and hung up: {report}"
    );
    let report = failure(&served("127.0.0.2", &good), &good.certificate);
    assert_eq!(report["reason"], "WrongName");
    for (issued, reason) in [
        (issue(2000, 2001), "Expired"),
        (issue(4000, 4001), "NotYetValid"),
    ] {
        let report = failure(&served("127.0.0.1", &issued), &issued.certificate);
        assert_eq!(report["reason"], reason);
    }
}

#[test]
fn a_server_that_requires_a_client_certificate_is_reported_as_such_with_each_version_of_tls() {
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
