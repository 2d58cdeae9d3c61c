//! Which authorities are trusted, as an API server trusts its `caBundle`.
//!
//! rustls verifies. To explain a refusal in full, the certificate that was shown is
//! recorded, and whether the server asked for one of ours.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, SignatureScheme};

use crate::certificates::identity::{provider, validity};
use crate::certificates::pem::{PemError, certificates};
use crate::certificates::recording_verifier::{RecordingVerifier, ShownCertificates};

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

    /// A client's side of TLS that trusts these, and what it will have recorded.
    pub(super) fn client(&self) -> (Arc<ClientConfig>, Arc<Recorded>) {
        let authorities = self.clone();
        let verifier = RecordingVerifier::new(move |shown| authorities.verify(shown));
        let recorded = Arc::new(Recorded {
            verifier: Arc::clone(&verifier),
            asked_for_certificate: AtomicBool::new(false),
        });
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has TLS 1.2 and 1.3")
            // Not less than rustls' own verifier verifies: it is asked.
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&recorded) as Arc<dyn ResolvesClientCert>);
        // What an API server speaks that finds its webhook through a Service.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        (Arc::new(config), recorded)
    }

    fn verify(&self, shown: &ShownCertificates<'_>) -> Result<(), Error> {
        let ShownCertificates {
            leaf,
            chain,
            name,
            ocsp,
            now,
        } = *shown;
        // A certificate that is in the caBundle itself is trusted as it stands:
        // Go's crypto/x509, by which API servers verify, does so, and rustls not
        // where it is marked as an authority, as `openssl req -x509` marks it.
        if !self.certificates.iter().any(|trusted| trusted == leaf) {
            let verified = self
                .verifier
                .verify_server_cert(leaf, chain, name, ocsp, now);
            return verified.map(drop);
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
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
    }
}

/// What a server has shown and asked for.
#[derive(Debug)]
pub(super) struct Recorded {
    verifier: Arc<RecordingVerifier>,
    asked_for_certificate: AtomicBool,
}

impl Recorded {
    /// The certificate that was shown, trusted or not.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.verifier.leaf()
    }

    /// Whether the server asked for a certificate of ours.
    pub(super) fn asked_for_certificate(&self) -> bool {
        self.asked_for_certificate.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Recorded {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked_for_certificate.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
