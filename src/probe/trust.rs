//! Verifies certificates as an API server does with its `caBundle`.
//!
//! rustls verifies. To explain a rejection, this records the certificate, and whether
//! the server requested a client certificate.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, SignatureScheme};

use crate::certificates::identity::{provider, validity};
use crate::certificates::pem::{PemError, certificates};
use crate::certificates::recording_verifier::{RecordingVerifier, ShownCertificates};

/// The CAs of a `caBundle`.
#[derive(Clone)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// Why a file of CAs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It contains no certificate.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate cannot be used.
    #[error("one of its certificates cannot be used: {0}")]
    Unusable(String),
}

impl Authorities {
    /// Parses PEM.
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

    /// Whether these trust the server called `name` with the certificates in `pem`, the
    /// server's own first, at `now`.
    ///
    /// # Errors
    /// Why not.
    pub fn trust(&self, pem: &[u8], name: &str, now: SystemTime) -> Result<(), String> {
        let chain = certificates(pem).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let shown = ShownCertificates {
            leaf: &chain[0],
            chain: &chain[1..],
            name: &name,
            ocsp: &[],
            now: UnixTime::since_unix_epoch(since.unwrap_or_default()),
        };
        self.verify(&shown).map_err(|error| error.to_string())
    }

    /// The TLS configuration of a client that trusts these, and what it records.
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
            // The custom verifier calls that of rustls.
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&recorded) as Arc<dyn ResolvesClientCert>);
        // API servers use HTTP/1.1 for webhooks behind a Service.
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
        // A certificate that is in the caBundle itself is trusted, as in Go's
        // crypto/x509, which API servers use. rustls rejects it if it is marked as a CA,
        // as `openssl req -x509` does.
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

/// What a server presented and requested.
#[derive(Debug)]
pub(super) struct Recorded {
    verifier: Arc<RecordingVerifier>,
    asked_for_certificate: AtomicBool,
}

impl Recorded {
    /// The certificate that was presented, trusted or not.
    pub(super) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.verifier.leaf()
    }

    /// Whether the server requested a client certificate.
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
