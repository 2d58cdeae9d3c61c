//! Certificates from files, such as those of a Secret volume.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::RootCertStore;

use super::identity::{Identity, IdentityError, Validity, validity};
use super::pem::{PemError, certificates};
use super::serving::{NoAuthority, Serving};
use crate::metrics::certificates::{Authority, CertificateMetrics, Material};

/// The flag of the serving certificate.
const CERTIFICATE: &str = "--tls-cert-file";
/// The flag of its key.
const KEY: &str = "--tls-private-key-file";
/// The flag of the client CAs.
const CLIENT_CA: &str = "--client-ca";

/// The maximum size of a file, which no chain or bundle exceeds, unlike `/dev/zero`.
const SIZE: u64 = 1024 * 1024;

/// Files that belong together.
#[derive(Debug)]
pub struct CertificateFiles {
    /// What they contain.
    pub(super) material: Material,
    /// Each file, with its flag.
    files: Vec<(&'static str, PathBuf)>,
    /// The contents in use.
    used: Vec<Vec<u8>>,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// A file cannot be read.
    #[error(
        "cannot read {flag} {}: {error}; use a PEM file that podseal can read, such as {} of a \
         Secret volume", path.display(), usual(flag)
    )]
    Read {
        /// Its flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The certificate or the key cannot be used, or they do not match.
    #[error(
        "cannot serve {CERTIFICATE} {} with {KEY} {}: {error}; use a certificate and its \
         private key, both as PEM", certificate.display(), key.display()
    )]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        error: IdentityError,
    },
    /// The certificate has expired, but the one in use has not.
    #[error("{CERTIFICATE} {} expired at {expiry}; renew it", certificate.display())]
    Expired {
        /// The certificate's file.
        certificate: PathBuf,
        /// When.
        expiry: jiff::Timestamp,
    },
    /// The certificate is not valid yet, but the one in use is.
    #[error(
        "{CERTIFICATE} {} is not valid before {start}; use one that is valid now, or check \
         this machine's clock", certificate.display()
    )]
    NotYetValid {
        /// The certificate's file.
        certificate: PathBuf,
        /// When it becomes valid.
        start: jiff::Timestamp,
    },
    /// The CAs cannot be used.
    #[error(
        "cannot verify clients with {CLIENT_CA} {}: {error}; use a PEM file with the certificates \
         of their CAs", path.display()
    )]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: AuthorityError,
    },
}

/// Why a file of CAs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Not PEM, or without a certificate.
    #[error("{0}")]
    Pem(PemError),
    /// A certificate that rustls does not accept.
    #[error("{0}")]
    Certificate(rustls::Error),
    /// A certificate that cannot be parsed.
    #[error("{0}")]
    X509(IdentityError),
    /// No CA.
    #[error(transparent)]
    None(NoAuthority),
}

/// Where certificates and their metrics go.
#[derive(Debug, Clone, Copy)]
pub struct ReadInto<'u> {
    /// The serving certificate and client CAs.
    pub serving: &'u Serving,
    /// The metrics.
    pub figures: &'u CertificateMetrics,
    /// The time.
    pub now: SystemTime,
}

impl CertificateFiles {
    /// The serving certificate, with its chain, and its key.
    pub fn pair(certificate: PathBuf, key: PathBuf) -> CertificateFiles {
        CertificateFiles {
            material: Material::Serving,
            files: vec![(CERTIFICATE, certificate), (KEY, key)],
            used: Vec::new(),
        }
    }

    /// The CAs that issue client certificates.
    pub fn client_ca(path: PathBuf) -> CertificateFiles {
        CertificateFiles {
            material: Material::ClientCa,
            files: vec![(CLIENT_CA, path)],
            used: Vec::new(),
        }
    }

    /// The files' paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(_, path)| path.as_path())
    }

    /// Reads the files, and uses their contents if they are new. Returns whether they
    /// were.
    ///
    /// # Errors
    /// When they cannot be used. The previous contents stay in use.
    pub fn read(&mut self, to: ReadInto<'_>) -> Result<bool, CertificateFileError> {
        let read = |(flag, path): &(&'static str, PathBuf)| {
            read(path).map_err(|error| CertificateFileError::Read {
                flag,
                path: path.clone(),
                error,
            })
        };
        let contents: Vec<_> = self.files.iter().map(read).collect::<Result<_, _>>()?;
        // Compares everything: a new key for the same names is a renewal too.
        if contents == self.used {
            return Ok(false);
        }
        match (self.material, &*contents) {
            (Material::Serving, [certificate, key]) => self.present(certificate, key, to)?,
            (Material::ClientCa, [bundle]) => self.require_clients(bundle, to)?,
            _ => unreachable!("files are made by the two constructors"),
        }
        self.used = contents;
        Ok(true)
    }

    fn present(
        &self,
        certificate: &[u8],
        key: &[u8],
        to: ReadInto<'_>,
    ) -> Result<(), CertificateFileError> {
        let path = |index: usize| self.files[index].1.clone();
        let identity =
            Identity::from_pem(certificate, key).map_err(|error| CertificateFileError::Pair {
                certificate: path(0),
                key: path(1),
                error,
            })?;
        let fault = match identity.validity(to.now) {
            Validity::Valid => None,
            Validity::Expired => Some(CertificateFileError::Expired {
                certificate: path(0),
                expiry: timestamp(identity.not_after()),
            }),
            Validity::NotYet => Some(CertificateFileError::NotYetValid {
                certificate: path(0),
                start: timestamp(identity.not_before()),
            }),
        };
        if let Some(fault) = fault {
            // A mistaken rollback or an early renewal must not replace a certificate
            // that is valid.
            let current = to.serving.current();
            let works = |identity: &Identity| identity.validity(to.now) == Validity::Valid;
            let has_working = current
                .borrow()
                .as_ref()
                .is_some_and(|served| works(&served.identity));
            if has_working {
                return Err(fault);
            }
            // Without a valid one, this is not worse than nothing, and the clock may be wrong.
            let problem = fault.to_string();
            tracing::warn!(problem, "serving a certificate that clients will reject");
        }
        to.serving.present(identity);
        Ok(())
    }

    fn require_clients(&self, bundle: &[u8], to: ReadInto<'_>) -> Result<(), CertificateFileError> {
        let wrong = |error| CertificateFileError::Authorities {
            path: self.files[0].1.clone(),
            error,
        };
        let (roots, first_expiry) = authorities(bundle).map_err(wrong)?;
        let required = to.serving.require_clients_of(roots);
        required.map_err(|error| wrong(AuthorityError::None(error)))?;
        to.figures
            .authority_expires(Authority::Client, first_expiry);
        Ok(())
    }
}

/// The CAs in `bundle`, and the earliest expiry of one.
fn authorities(bundle: &[u8]) -> Result<(RootCertStore, Option<SystemTime>), AuthorityError> {
    let mut roots = RootCertStore::empty();
    let mut first = None;
    for certificate in certificates(bundle).map_err(AuthorityError::Pem)? {
        let expiry = validity(&certificate).map_err(AuthorityError::X509)?.end;
        first = first.into_iter().chain([expiry]).min();
        roots
            .add(certificate)
            .map_err(AuthorityError::Certificate)?;
    }
    Ok((roots, first))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?
        .take(SIZE + 1)
        .read_to_end(&mut contents)?;
    match contents.len() as u64 > SIZE {
        true => Err(io::Error::other("the file is larger than 1 MiB")),
        false => Ok(contents),
    }
}

/// The usual key of such a file in a Secret.
fn usual(flag: &str) -> &'static str {
    match flag {
        CERTIFICATE => "tls.crt",
        KEY => "tls.key",
        _ => "ca.crt",
    }
}

pub(super) fn timestamp(moment: SystemTime) -> jiff::Timestamp {
    // A certificate may expire after the year 9999.
    jiff::Timestamp::try_from(moment).unwrap_or(jiff::Timestamp::MAX)
}
