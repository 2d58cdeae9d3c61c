//! The serving certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or is no PEM.
    #[error("cannot read {what} from {path}: {error}")]
    Pem {
        /// `the certificate` or `the private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// Readable, but not usable: most often a key of another certificate.
    #[error("cannot serve the certificate {path} with its key: {error}")]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with the pair.
        error: rustls::Error,
    },
}

/// The TLS side of the server: 1.3 and 1.2, HTTP/2 and HTTP/1.1, with the
/// certificate chain and key of two PEM files.
pub fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let refuse = |what, path: &Path, error| TlsError::Pem {
        what,
        path: path.to_owned(),
        error,
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .and_then(|chain| {
            if chain.is_empty() {
                Err(pem::Error::NoItemsFound)
            } else {
                Ok(chain)
            }
        })
        .map_err(|error| refuse("the certificate", certificate, error))?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| refuse("the private key", key, error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has both versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Pair {
            path: certificate.to_owned(),
            error,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
