//! Reads certificates and keys from PEM.
//!
//! Errors do not quote the file, which may contain a key.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a PEM file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No certificate, but a key.
    #[error("it contains a private key and no certificate")]
    KeyOnly,
    /// No key, but a certificate.
    #[error("it contains a certificate and no private key")]
    CertificateOnly,
    /// An encrypted key.
    #[error("the key is encrypted, which podseal does not support; decrypt it (openssl pkey)")]
    Encrypted,
    /// Binary.
    #[error("it is not PEM; if it is DER, convert it (openssl x509 or openssl pkey, -inform der)")]
    Binary,
    /// Text without a certificate.
    #[error("it contains no certificate")]
    NoCertificate,
    /// Text without a key.
    #[error("it contains no private key")]
    NoKey,
    /// A section that does not end.
    #[error("a section has no end; the file may be truncated")]
    CutOff,
    /// Anything else that is wrong with a section.
    #[error("a section is malformed")]
    Malformed,
}

/// The certificates of a file, at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = read.map_err(|error| section(text, &error))?;
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    Err(match () {
        () if is_binary(text) => PemError::Binary,
        () if has(text, "PRIVATE KEY-----") => PemError::KeyOnly,
        () => PemError::NoCertificate,
    })
}

/// The first private key of a file.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        // OpenSSL has two formats of encrypted keys.
        _ if has(text, "-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || has(text, "Proc-Type: 4,ENCRYPTED") =>
        {
            PemError::Encrypted
        }
        pem::Error::NoItemsFound if is_binary(text) => PemError::Binary,
        pem::Error::NoItemsFound if has(text, "-----BEGIN CERTIFICATE-----") => {
            PemError::CertificateOnly
        }
        pem::Error::NoItemsFound => PemError::NoKey,
        error => section(text, &error),
    })
}

fn section(text: &[u8], error: &pem::Error) -> PemError {
    match error {
        _ if is_binary(text) => PemError::Binary,
        pem::Error::MissingSectionEnd { .. } => PemError::CutOff,
        _ => PemError::Malformed,
    }
}

fn has(text: &[u8], words: &str) -> bool {
    text.windows(words.len())
        .any(|window| window == words.as_bytes())
}

/// PEM is text. The integers of DER have bytes that text does not have.
fn is_binary(text: &[u8]) -> bool {
    text.contains(&0) || std::str::from_utf8(text).is_err() && !has(text, "-----BEGIN ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate")
    }

    #[test]
    fn what_is_no_certificate_is_called_what_it_is() {
        let made = made();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let wrong = |text: &[u8]| certificates(text).expect_err("no certificate");
        assert_eq!(wrong(key.as_bytes()), PemError::KeyOnly);
        assert_eq!(wrong(made.cert.der()), PemError::Binary);
        assert_eq!(wrong(b""), PemError::NoCertificate);
        assert_eq!(wrong(&pem.as_bytes()[..pem.len() - 30]), PemError::CutOff);
        let spoilt = pem.replacen("\nMI", "\n??", 1);
        assert_eq!(wrong(spoilt.as_bytes()), PemError::Malformed);
        let both = format!("{key}{pem}{pem}");
        assert_eq!(certificates(both.as_bytes()).expect("two").len(), 2);
    }

    #[test]
    fn what_is_no_key_is_called_what_it_is() {
        let made = made();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let wrong = |text: &[u8]| private_key(text).expect_err("no key");
        assert_eq!(wrong(pem.as_bytes()), PemError::CertificateOnly);
        assert_eq!(wrong(&made.signing_key.serialize_der()), PemError::Binary);
        assert_eq!(wrong(b"no PEM"), PemError::NoKey);
        let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(wrong(encrypted.as_bytes()), PemError::Encrypted);
        let header = "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0\n\n";
        let old = key.replacen("PRIVATE KEY-----\n", header, 1);
        assert_eq!(wrong(old.as_bytes()), PemError::Encrypted);
        assert!(private_key(format!("{pem}{key}").as_bytes()).is_ok());
    }
}
