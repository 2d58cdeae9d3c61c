//! A certificate with its chain and its matching key.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::pem::{PemError, certificates, private_key};

/// A certificate with its chain and its matching key.
#[derive(Debug, Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    /// The first second in which the certificate is valid, and the first after that in
    /// which it is not.
    valid: Range<SystemTime>,
}

/// Whether a certificate is valid at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Not yet valid.
    NotYet,
    /// Valid.
    Valid,
    /// Expired.
    Expired,
}

/// Why a certificate and a key cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate can be read.
    #[error("cannot read the certificate: {}", Swapped(*.0))]
    Certificate(PemError),
    /// No private key can be read.
    #[error("cannot read the private key: {}", Swapped(*.0))]
    Key(PemError),
    /// Both are valid, but do not match.
    #[error("the key does not match the certificate")]
    Mismatch,
    /// Readable, but not usable.
    #[error("the certificate cannot be served with its key: {0}")]
    Pair(rustls::Error),
    /// The certificate cannot be parsed.
    #[error("the certificate is not X.509: {0}")]
    X509(String),
}

impl Identity {
    /// The identity of a certificate, followed by its chain, and its private
    /// key, both as PEM.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let chain = certificates(certificate).map_err(IdentityError::Certificate)?;
        let valid = validity(&chain[0])?;
        let key = private_key(key).map_err(IdentityError::Key)?;
        // This also compares the public keys of both.
        let certified =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    IdentityError::Mismatch
                }
                error => IdentityError::Pair(error),
            })?;
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

    /// When the certificate becomes valid.
    pub fn not_before(&self) -> SystemTime {
        self.valid.start
    }

    /// Whether the certificate is valid at `now`.
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

/// An error of one of the two files, with a hint if they may be swapped.
struct Swapped(PemError);

impl fmt::Display for Swapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Swapped(error) = self;
        let question = match error {
            PemError::KeyOnly | PemError::CertificateOnly => "; are the two swapped?",
            _ => "",
        };
        write!(f, "{error}{question}")
    }
}

/// The cryptography provider.
pub(crate) fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// The time in which `certificate`, as DER, is valid.
pub(crate) fn validity(certificate: &[u8]) -> Result<Range<SystemTime>, IdentityError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| IdentityError::X509(error.to_string()))?;
    // Times before 1970 are treated as 1970.
    let moment = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    let valid = certificate.validity();
    Ok(moment(valid.not_before.timestamp())..moment(valid.not_after.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_is_none_is_told_in_words_that_help() {
        let made = || {
            let made = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate");
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let ((certificate, key), (_, other)) = (made(), made());
        let wrong = |certificate: &str, key: &str| {
            let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes());
            identity.expect_err("no identity").to_string()
        };
        assert_eq!(
            wrong(&key, &certificate),
            "cannot read the certificate: it contains a private key and no certificate; are the two \
             swapped?"
        );
        assert_eq!(
            wrong(&certificate, &certificate),
            "cannot read the private key: it contains a certificate and no private key; are the two \
             swapped?"
        );
        assert_eq!(
            wrong(&certificate, &other),
            "the key does not match the certificate"
        );
    }
}
