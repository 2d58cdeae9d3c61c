//! One TLS handshake with the webhook's own port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::certificates::identity::provider;
use crate::certificates::recording_verifier::RecordingVerifier;

/// The timeout of the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a probe did not pass.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelfProbeError {
    /// The port cannot be reached.
    #[error("the webhooks' port cannot be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// It did not answer.
    #[error("the webhooks' port does not answer")]
    Silent,
    /// It answers with another certificate.
    #[error("the webhooks' port does not answer with the certificate in use")]
    Wrong,
}

/// Checks that one of `addresses` has the key of `leaf`.
pub(super) async fn probe(
    addresses: &[SocketAddr],
    leaf: &CertificateDer<'static>,
) -> Result<(), SelfProbeError> {
    let answer = async {
        let stream = TcpStream::connect(addresses)
            .await
            .map_err(|error| SelfProbeError::Unreachable(error.kind()))?;
        let connector = TlsConnector::from(Arc::new(client_config(leaf)));
        // The name is not verified: the verifier compares the whole certificate.
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let mut stream =
            connector
                .connect(name, stream)
                .await
                .map_err(|error| match error.get_ref() {
                    Some(inner) if inner.is::<Error>() => SelfProbeError::Wrong,
                    _ => SelfProbeError::Unreachable(error.kind()),
                })?;
        // The server has proven its key by now. If it requires a client certificate, it
        // may close the connection without reading our close_notify, so errors are ignored.
        let _ = stream.shutdown().await;
        Ok(())
    };
    match timeout(PATIENCE, answer).await {
        Ok(answered) => answered,
        Err(_) => Err(SelfProbeError::Silent),
    }
}

/// Accepts only the certificate `expected`, whatever CA issued it: the probe checks what
/// is served, not what API servers trust.
fn client_config(expected: &CertificateDer<'static>) -> ClientConfig {
    let expected = expected.clone();
    let verifier = RecordingVerifier::new(move |shown| match *shown.leaf == expected {
        true => Ok(()),
        false => Err(CertificateError::ApplicationVerificationFailure.into()),
    });
    ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("aws-lc-rs has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}
