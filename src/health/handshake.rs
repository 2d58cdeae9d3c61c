//! One handshake with our own port, to see whether it serves what it should.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
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

/// How long the port may take to answer.
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
    /// Somebody answers, with something else.
    #[error("the webhooks' port does not answer with the certificate in use")]
    Wrong,
}

/// Tries whether one of `addresses` proves that it has the key of `leaf`.
pub(super) async fn probe(
    addresses: &[SocketAddr],
    leaf: &CertificateDer<'static>,
) -> Result<(), SelfProbeError> {
    let answer = async {
        let stream = TcpStream::connect(addresses)
            .await
            .map_err(|error| SelfProbeError::Unreachable(error.kind()))?;
        let connector = TlsConnector::from(Arc::new(client_config(leaf)));
        // Nobody looks at the name: the leaf is compared as a whole.
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let mut stream =
            connector
                .connect(name, stream)
                .await
                .map_err(|error| match error.get_ref() {
                    Some(inner) if inner.is::<Error>() => SelfProbeError::Wrong,
                    _ => SelfProbeError::Unreachable(error.kind()),
                })?;
        // A server that asks for a client's certificate has proven itself by now,
        // and may break off instead of reading the farewell.
        let _ = stream.shutdown().await;
        Ok(())
    };
    match timeout(PATIENCE, answer).await {
        Ok(answered) => answered,
        Err(_) => Err(SelfProbeError::Silent),
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
