//! The self-probe: does the webhooks' port answer with the certificate in use?
//!
//! Everything podseal has to go through for an API server to reach it is tried
//! once: the port, the accept loop, the key, the handshake. It runs after the
//! start and after each change of the certificate, until it has passed.
//!
//! It is not repeated while nothing changes. A replica under so much load that a
//! handshake fails would call itself unready, its share would go to the others,
//! and they would follow one by one; shedding tells the API server to come back
//! and keeps all of them at work. For the same reason a later probe that finds no
//! answer changes nothing and tries again: only an answer that is wrong does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::readiness::{Probed, Readiness};
use crate::certificates::serving::Current;

/// How long the port may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after the first failure, and the longest; each is twice the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// Why a probe did not pass.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    /// The port cannot be reached.
    #[error("the webhooks' port cannot be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// It did not answer.
    #[error("the webhooks' port does not answer")]
    Silent,
    /// Somebody answers, with something else.
    #[error("the webhooks' port does not answer with the certificate in use")]
    Wrong,
}

/// Probes the port that listens at `address` at once and whenever the
/// certificate changes, and tells `readiness`; until nobody can change it.
pub async fn follow(address: SocketAddr, mut certificate: Current, readiness: Readiness) {
    let addresses = reachable(address);
    let mut has_passed = false;
    'certificate: loop {
        let served = certificate.borrow_and_update().clone();
        let mut pause = PAUSES[0];
        let mut told = String::new();
        while let Some(served) = &served {
            let found = probe(&addresses, served.identity.leaf()).await;
            // What was found says nothing of a certificate that came since.
            if certificate
                .has_changed()
                .is_ok_and(|has_changed| has_changed)
            {
                continue 'certificate;
            }
            let Err(error) = found else {
                has_passed = true;
                readiness.probed(Probed::Passed);
                break;
            };
            let reason = error.to_string();
            if !has_passed || matches!(error, ProbeError::Wrong) {
                readiness.probed(Probed::Failed(reason.clone()));
            }
            if told != reason {
                tracing::warn!(reason, "the self-probe failed; it is tried until it passes");
                told = reason;
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

/// Where a listener at `address` can be reached from here. One that listens
/// everywhere is asked by loopback; by that of IPv4, too, since `[::]` listens
/// where IPv6 has no loopback address.
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

async fn probe(addresses: &[SocketAddr], leaf: &CertificateDer<'static>) -> Result<(), ProbeError> {
    let answer = async {
        let stream = TcpStream::connect(addresses)
            .await
            .map_err(|error| ProbeError::Unreachable(error.kind()))?;
        let connector = TlsConnector::from(Arc::new(client_config(leaf)));
        // Nobody looks at the name: the leaf is compared as a whole.
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let mut stream =
            connector
                .connect(name, stream)
                .await
                .map_err(|error| match error.get_ref() {
                    Some(inner) if inner.is::<Error>() => ProbeError::Wrong,
                    _ => ProbeError::Unreachable(error.kind()),
                })?;
        // A server that asks for a client's certificate has proven itself by now,
        // and may break off instead of reading the farewell.
        let _ = stream.shutdown().await;
        Ok(())
    };
    match timeout(PATIENCE, answer).await {
        Ok(answered) => answered,
        Err(_) => Err(ProbeError::Silent),
    }
}

fn client_config(leaf: &CertificateDer<'static>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = ThisLeaf {
        leaf: leaf.clone(),
        provider: Arc::clone(&provider),
    };
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("aws-lc-rs has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

/// Accepts one certificate and no other, whoever issued it: the probe knows what
/// is served, and what the API servers trust is theirs to know.
#[derive(Debug)]
struct ThisLeaf {
    leaf: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ThisLeaf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.leaf {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::certificates::identity::Identity;
    use crate::certificates::serving::Serving;
    use crate::cluster::file::NamespaceFile;
    use crate::cluster::namespaces::Namespaces;
    use crate::status::readiness::Check;

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

    /// Serves `identity`, whatever anybody thinks is in use.
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

    /// Waits until the check says what is `wanted`.
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
