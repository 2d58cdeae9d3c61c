//! The self-probe: checks that the webhooks' port answers with the certificate in use.
//!
//! It tests the whole path of an API server's connection: the port, the accept loop,
//! the key, the handshake. It runs after startup and after each change of the
//! certificate, until it passes.
//!
//! It does not run again without a change. Otherwise an overloaded replica whose
//! handshakes fail would become unready, its load would move to the others, and they
//! would fail in turn. Load shedding makes API servers retry and keeps all replicas in
//! service. For the same reason, a later probe without an answer only retries: just a
//! wrong answer makes the replica unready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;

use super::handshake::{SelfProbeError, probe};
use super::readiness::{Readiness, SelfProbeResult};
use crate::certificates::serving::Current;

/// The first and the longest pause between attempts; each is twice the previous one.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// Probes the port at `address` immediately and after each change of the certificate,
/// and reports to `readiness`. Returns when the certificate can no longer change.
pub async fn follow(address: SocketAddr, mut certificate: Current, readiness: Readiness) {
    let addresses = reachable(address);
    let mut has_passed = false;
    'certificate: loop {
        let served = certificate.borrow_and_update().clone();
        let mut pause = PAUSES[0];
        let mut logged = String::new();
        while let Some(served) = &served {
            let found = probe(&addresses, served.identity.leaf()).await;
            // The result does not apply to a newer certificate.
            if certificate
                .has_changed()
                .is_ok_and(|has_changed| has_changed)
            {
                continue 'certificate;
            }
            let Err(error) = found else {
                has_passed = true;
                readiness.probed(SelfProbeResult::Passed);
                break;
            };
            let reason = error.to_string();
            if !has_passed || matches!(error, SelfProbeError::Wrong) {
                readiness.probed(SelfProbeResult::Failed(reason.clone()));
            }
            if logged != reason {
                tracing::warn!(reason, "the self-probe failed; retrying");
                logged = reason;
            }
            match timeout(pause, certificate.changed()).await {
                Ok(Ok(())) => continue 'certificate,
                Ok(Err(_)) => return,
                Err(_) => pause = (pause * 2).min(PAUSES[1]),
            }
        }
        if certificate.changed().await.is_err() {
            return;
        }
    }
}

/// The addresses to probe for a listener at `address`. A listener on all addresses is
/// probed on loopback, including IPv4: `[::]` may listen without an IPv6 loopback
/// address.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let hosts = match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => vec![IpAddr::V6(Ipv6Addr::LOCALHOST), v4],
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        _ => return vec![address],
    };
    let at = |host| SocketAddr::new(host, address.port());
    hosts.into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::certificates::identity::Identity;
    use crate::certificates::serving::Serving;
    use crate::health::readiness::Check;
    use crate::namespaces::file::NamespaceFile;
    use crate::namespaces::source::Namespaces;

    fn identity() -> Identity {
        let made = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Identity::from_pem(chain.as_bytes(), key.as_bytes()).expect("an identity")
    }

    fn readiness(serving: &Serving) -> Readiness {
        let file = NamespaceFile::from_text("{kind: Namespace, metadata: {name: ci}}");
        let namespaces = Namespaces::File(Arc::new(file.expect("namespaces")));
        Readiness::new(serving.current(), namespaces)
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// Serves `identity`, whichever is in use.
    async fn serve(listener: TcpListener, identity: Identity) {
        let serving = Serving::default();
        serving.present(identity);
        let served = serving
            .current()
            .borrow()
            .clone()
            .expect("it was presented");
        let acceptor = TlsAcceptor::from(Arc::clone(&served.config));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let _ = acceptor.accept(stream).await;
        }
    }

    /// Waits until the result of the check contains `wanted`.
    async fn until(readiness: &Readiness, wanted: &str) {
        let said = async {
            loop {
                let result = readiness.check(Check::SelfProbe, SystemTime::now());
                let said = result.err().unwrap_or("passed".into());
                if said.contains(wanted) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let in_time = timeout(Duration::from_secs(60), said).await;
        in_time.expect("the check says so in time");
    }

    #[tokio::test]
    async fn a_port_that_serves_another_certificate_fails_until_it_serves_the_one_in_use() {
        let (listener, address) = listener().await;
        let (ours, theirs) = (identity(), identity());
        let serving = Serving::default();
        let readiness = readiness(&serving);
        tokio::spawn(serve(listener, theirs.clone()));
        tokio::spawn(follow(address, serving.current(), readiness.clone()));
        until(&readiness, "has not answered yet").await;
        serving.present(ours.clone());
        until(&readiness, "does not answer with the certificate in use").await;
        serving.present(theirs);
        until(&readiness, "passed").await;
        serving.present(ours);
        until(&readiness, "does not answer with the certificate in use").await;
    }

    #[tokio::test]
    async fn a_port_that_cannot_be_reached_fails_with_the_reason_and_is_tried_again() {
        let (listener, address) = listener().await;
        drop(listener);
        let ours = identity();
        let serving = Serving::default();
        serving.present(ours.clone());
        let readiness = readiness(&serving);
        tokio::spawn(follow(address, serving.current(), readiness.clone()));
        until(&readiness, "cannot be reached (connection refused)").await;
        let listener = TcpListener::bind(address).await.expect("the port again");
        tokio::spawn(serve(listener, ours));
        until(&readiness, "passed").await;
    }

    #[tokio::test]
    async fn once_passed_a_port_that_breaks_off_changes_nothing() {
        let (listener, address) = listener().await;
        let ours = identity();
        let serving = Serving::default();
        serving.present(ours.clone());
        let readiness = readiness(&serving);
        // Answers one connection, and is too busy for all others.
        let (broken_off, mut breaks) = tokio::sync::mpsc::channel(1);
        let certificate = serving.current();
        tokio::spawn(async move {
            let served = certificate.borrow().clone().expect("it was presented");
            let acceptor = TlsAcceptor::from(Arc::clone(&served.config));
            let (stream, _) = listener.accept().await.expect("a connection");
            let _ = acceptor.accept(stream).await;
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                drop(stream);
                let _ = broken_off.send(()).await;
            }
        });
        tokio::spawn(follow(address, serving.current(), readiness.clone()));
        until(&readiness, "passed").await;
        serving.present(identity());
        // The third comes after the probe has judged the first.
        for _ in 0..3 {
            let broken_off = timeout(Duration::from_secs(60), breaks.recv()).await;
            broken_off
                .expect("the probe tries again")
                .expect("an event");
            let result = readiness.check(Check::SelfProbe, SystemTime::now());
            assert_eq!(result, Ok(()));
        }
    }

    #[test]
    fn a_listener_everywhere_is_asked_by_loopback() {
        let reachable = |address: &str| {
            let found = reachable(address.parse().expect("an address"));
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(reachable("[::]:1"), ["[::1]:1", "127.0.0.1:1"]);
        assert_eq!(reachable("0.0.0.0:1"), ["127.0.0.1:1"]);
        assert_eq!(reachable("10.1.2.3:1"), ["10.1.2.3:1"]);
    }
}
