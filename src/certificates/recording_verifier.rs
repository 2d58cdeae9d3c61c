//! Verifies the certificate of a server that podseal is a client of, and records it:
//! the errors of rustls do not contain enough to explain a rejection.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::identity::provider;

/// The certificates that a server presented.
pub(crate) struct ShownCertificates<'c> {
    /// The certificate itself.
    pub(crate) leaf: &'c CertificateDer<'c>,
    /// The other certificates.
    pub(crate) chain: &'c [CertificateDer<'c>],
    /// The name of the server.
    pub(crate) name: &'c ServerName<'c>,
    /// A stapled OCSP response, or empty.
    pub(crate) ocsp: &'c [u8],
    /// The time.
    pub(crate) now: UnixTime,
}

/// Decides whether the certificates are trusted.
type Decide = dyn Fn(&ShownCertificates<'_>) -> Result<(), Error> + Send + Sync;

/// A verifier that records the certificate. It always verifies that the server has the
/// certificate's key.
pub(crate) struct RecordingVerifier {
    decide: Box<Decide>,
    algorithms: WebPkiSupportedAlgorithms,
    leaf: OnceLock<CertificateDer<'static>>,
}

impl RecordingVerifier {
    /// A verifier that trusts what `decide` accepts.
    pub(crate) fn new(
        decide: impl Fn(&ShownCertificates<'_>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Arc<RecordingVerifier> {
        Arc::new(RecordingVerifier {
            decide: Box::new(decide),
            algorithms: provider().signature_verification_algorithms,
            leaf: OnceLock::new(),
        })
    }

    /// The certificate that was presented, trusted or not.
    pub(crate) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.leaf.get()
    }
}

impl fmt::Debug for RecordingVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordingVerifier")
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.leaf.get_or_init(|| leaf.clone().into_owned());
        (self.decide)(&ShownCertificates {
            leaf,
            chain,
            name,
            ocsp,
            now,
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
