//! A certificate with its chain and key, proven to belong together.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// What a server proves itself with.
#[derive(Debug, Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    /// The first second in which the certificate is valid, and the first after
    /// it in which it is not.
    valid: Range<SystemTime>,
}

/// How a certificate stands at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Its time has not come.
    NotYet,
    /// It can be verified.
    Valid,
    /// Its time is over.
    Expired,
}

/// Why a certificate and a key are no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate can be read.
    #[error("cannot read the certificate: {0}")]
    Certificate(pem::Error),
    /// No private key can be read.
    #[error("cannot read the private key: {0}")]
    Key(pem::Error),
    /// Readable, but not usable: most often a key of another certificate.
    #[error("the certificate cannot be served with its key: {0}")]
    Pair(rustls::Error),
    /// The certificate is none that can be understood.
    #[error("the certificate is not X.509: {0}")]
    X509(String),
}

impl Identity {
    /// The identity of a certificate, followed by its chain, and its private
    /// key, both as PEM.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(IdentityError::Certificate)?;
        let leaf = chain
            .first()
            .ok_or(IdentityError::Certificate(pem::Error::NoItemsFound))?;
        let valid = validity(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::Key)?;
        // Compares the public keys of the two, too.
        let certified =
            CertifiedKey::from_der(chain, key, &provider()).map_err(IdentityError::Pair)?;
        Ok(Identity {
            certified: Arc::new(certified),
            valid,
        })
    }

    /// The certificate itself, without its chain.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        self.certified
            .cert
            .first()
            .expect("no identity is made without a certificate")
    }

    /// When the certificate expires.
    pub fn not_after(&self) -> SystemTime {
        self.valid.end
    }

    /// From when on the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.valid.start
    }

    /// How the certificate stands at `now`.
    pub fn validity(&self, now: SystemTime) -> Validity {
        if now >= self.valid.end {
            Validity::Expired
        } else if now < self.valid.start {
            Validity::NotYet
        } else {
            Validity::Valid
        }
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// The one provider of cryptography.
pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// From when until when `certificate`, as DER, is valid.
pub(super) fn validity(certificate: &[u8]) -> Result<Range<SystemTime>, IdentityError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| IdentityError::X509(error.to_string()))?;
    // Before 1970 is as long ago as 1970.
    let moment = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    let valid = certificate.validity();
    Ok(moment(valid.not_before.timestamp())..moment(valid.not_after.timestamp()))
}
