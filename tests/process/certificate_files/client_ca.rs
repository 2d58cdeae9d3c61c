//! The authorities of clients, which change like the certificate itself.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use support::podseal::Podseal;
use support::tls::{self, Authority};

use crate::certificate_files::{is_told, review, serve, write};

/// Whether a review on a new connection is answered.
fn is_answered(podseal: &Podseal, client: &Arc<ClientConfig>) -> bool {
    match review(&mut tls::connect(&podseal.url, client)) {
        Ok(answer) => {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn with_client_ca_only_clients_of_that_authority_are_answered_and_it_can_be_rotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, clients, others) = (
        Authority::new("servers"),
        Authority::new("clients"),
        Authority::new("others"),
    );
    write(folder.path(), &ca.issue());
    let bundle = folder.path().join("ca.crt");
    fs::write(&bundle, &clients.pem).expect("a file");
    let path = bundle.to_str().expect("UTF-8");
    let podseal = serve(folder.path(), &ca, &["--client-ca", path]);
    let (known, stranger) = (clients.issue(), others.issue());
    for version in [&TLS12, &TLS13] {
        let with = |identity| tls::client(&ca.pem, &[version], identity);
        assert!(is_answered(&podseal, &with(Some(&known))), "{version:?}");
        assert!(!is_answered(&podseal, &with(None)), "{version:?}");
        assert!(
            !is_answered(&podseal, &with(Some(&stranger))),
            "{version:?}"
        );
    }
    let warning = podseal.await_event(|event| {
        event["message"] == "a client presented no certificate issued by --client-ca"
    });
    let peer = warning["peer"].as_str().expect("a peer");
    assert!(peer.starts_with("127.0.0.1:"), "{warning}");
    assert_eq!(
        (&warning["level"], warning["suppressed"].is_u64()),
        (&"WARN".into(), true)
    );
    let error = warning["error"].as_str().expect("an error");
    assert!(error.contains("invalid peer certificate"), "{error}");
    let expiry = podseal.metric("podseal_ca_expiry_timestamp_seconds{ca=\"client\"}");
    assert!(expiry.is_some_and(|expiry| expiry > 1.6e9), "{expiry:?}");

    // Rotated as it should be: both, and then only the new one.
    let versions = [&TLS12, &TLS13];
    let renewed = "podseal_certificate_reloads_total{certificate=\"client_ca\",result=\"success\"}";
    let both = format!("{}{}", clients.pem, others.pem);
    for (round, (text, admitted)) in [(both, [true, true]), (others.pem.clone(), [false, true])]
        .into_iter()
        .enumerate()
    {
        fs::write(&bundle, text).expect("a file");
        await_metric(&podseal, renewed, round as f64 + 1.0);
        for version in versions {
            for (identity, admitted) in [&known, &stranger].into_iter().zip(admitted) {
                let client = tls::client(&ca.pem, &[version], Some(identity));
                assert_eq!(
                    is_answered(&podseal, &client),
                    admitted,
                    "{round} {version:?}"
                );
            }
        }
    }

    // What is no authority leaves those that were.
    fs::write(&bundle, "").expect("a file");
    podseal.await_event(|event| is_told(event, &["--client-ca", "it contains no certificate"]));
    let with = |identity| tls::client(&ca.pem, &versions, identity);
    assert!(is_answered(&podseal, &with(Some(&stranger))));
    assert!(!is_answered(&podseal, &with(None)));
    let failing = "podseal_certificate_reload_failing{certificate=\"client_ca\"}";
    assert_eq!(podseal.metric(failing), Some(1.0));
}

fn await_metric(podseal: &Podseal, series: &str, value: f64) {
    let end = Instant::now() + Duration::from_secs(60);
    while podseal.metric(series) != Some(value) {
        assert!(Instant::now() < end, "{:#?}", podseal.lines());
    }
}

#[test]
fn a_client_that_rejects_the_certificate_is_logged_but_not_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("servers");
    write(folder.path(), &ca.issue());
    let podseal = serve(folder.path(), &ca, &[]);
    let wary = tls::client(&Authority::new("others").pem, &[&TLS13], None);
    let failures = "podseal_tls_handshake_failures_total{reason=\"peer_alert\"}";
    for round in 0..20 {
        assert!(!is_answered(&podseal, &wary));
        await_metric(&podseal, failures, f64::from(round) + 1.0);
    }
    let is_refusal = |line: &String| line.contains("check the caBundle");
    podseal.await_event(|event| is_refusal(&event.to_string()));
    let logged = podseal.lines().into_iter().filter(is_refusal).count();
    assert!((1..10).contains(&logged), "{logged} of 20");
}
