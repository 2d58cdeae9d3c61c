//! Whom to believe.
//!
//! rustls verifies; what is here sees to it that a refusal can be told in full,
//! for which rustls keeps too little: the certificate that was shown, and whether
//! the server asked for one of ours.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::certificates::identity::{provider, validity};
use crate::certificates::pem::{PemError, certificates};

/// The authorities of a `caBundle`.
#[derive(Clone)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// Why a file holds none.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// There is no certificate in it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// One cannot be used.
    #[error("one of its certificates cannot be used: {0}")]
    Unusable(String),
}

impl Authorities {
    /// Reads them from PEM.
    pub fn from_pem(text: &[u8]) -> Result<Authorities, AuthoritiesError> {
        let certificates = certificates(text)?;
        let mut roots = RootCertStore::empty();
        let unusable = |error: &dyn fmt::Display| AuthoritiesError::Unusable(error.to_string());
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| unusable(&error))?;
        }
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()));
        Ok(Authorities {
            certificates,
            verifier: builder.build().map_err(|error| unusable(&error))?,
        })
    }

    /// A client's side of TLS that trusts these, and what it will have seen.
    pub(super) fn client(&self) -> (Arc<ClientConfig>, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let witness = Arc::new(Witness {
            authorities: self.clone(),
            seen: Arc::clone(&seen),
        });
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has TLS 1.2 and 1.3")
            // Not less than rustls' own verifier verifies: it is asked.
            .dangerous()
            .with_custom_certificate_verifier(witness)
            .with_client_cert_resolver(Arc::clone(&seen) as Arc<dyn ResolvesClientCert>);
        // What an API server speaks that finds its webhook through a Service.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        (Arc::new(config), seen)
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A certificate that is in the caBundle itself is trusted as it stands:
        // Go's crypto/x509, by which API servers verify, does so, and rustls not
        // where it is marked as an authority, as `openssl req -x509` marks it.
        if !self.certificates.iter().any(|trusted| trusted == leaf) {
            return self
                .verifier
                .verify_server_cert(leaf, chain, name, ocsp, now);
        }
        let bad = |_| Error::from(CertificateError::BadEncoding);
        let valid = validity(leaf).map_err(bad)?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        if now >= valid.end {
            return Err(CertificateError::Expired.into());
        }
        if now < valid.start {
            return Err(CertificateError::NotValidYet.into());
        }
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// What a server has shown and asked.
#[derive(Debug, Default)]
pub(super) struct Seen {
    leaf: OnceLock<CertificateDer<'static>>,
    asked: AtomicBool,
}

impl Seen {
    /// The certificate that was shown, trusted or not.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.leaf.get()
    }

    /// Whether the server asked for a certificate of ours.
    pub(super) fn was_asked_for_a_certificate(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Seen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

struct Witness {
    authorities: Authorities,
    seen: Arc<Seen>,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.leaf.get_or_init(|| leaf.clone().into_owned());
        self.authorities.verify(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = &self.authorities.verifier;
        verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = &self.authorities.verifier;
        verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.verifier.supported_verify_schemes()
    }
}
