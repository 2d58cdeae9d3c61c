//! Parsed certificates of the Secret.

use std::time::{Duration, SystemTime};

use base64::Engine;
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::certificates::identity::provider;

/// A certificate, with the fields that decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// Whether it may issue certificates.
    pub(super) is_authority: bool,
    /// The subject, if it consists only of a common name.
    pub(super) common_name: Option<String>,
    pub(super) public_key: Vec<u8>,
    /// Its DNS names.
    pub(super) names: Vec<String>,
}

impl Certificate {
    /// Parses a certificate, without trailing bytes.
    pub(super) fn from_der(der: &CertificateDer<'_>) -> Option<Certificate> {
        let (rest, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let signs = match parsed.key_usage() {
            Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
            Err(_) => false,
        };
        Some(Certificate {
            not_before: time(parsed.validity().not_before),
            not_after: time(parsed.validity().not_after),
            is_authority: parsed.is_ca() && signs,
            common_name: common_name(&parsed),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            names: names(&parsed),
            der: der.clone().into_owned(),
        })
    }

    /// Whether it is valid at `now`.
    pub(super) fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whether `authority` issued it for a server.
    pub(super) fn is_issued_by(&self, authority: &Certificate) -> bool {
        let mut roots = RootCertStore::empty();
        let Ok(parsed) = ParsedCertificate::try_from(&self.der) else {
            return false;
        };
        // The time of validity is checked separately.
        let since_1970 = self.not_after.duration_since(SystemTime::UNIX_EPOCH);
        let valid = UnixTime::since_unix_epoch(since_1970.unwrap_or_default());
        let algorithms = provider().signature_verification_algorithms.all;
        authority.is_authority
            && roots.add(authority.der.clone()).is_ok()
            && verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], valid, algorithms)
                .is_ok()
    }

    pub(super) fn pem(&self) -> String {
        pem(&self.der)
    }
}

/// The certificates of a PEM text, and whether all of its blocks are certificates.
pub(super) fn certificates_in(text: &[u8]) -> (Vec<CertificateDer<'static>>, bool) {
    let mut whole = true;
    let mut found = Vec::new();
    for item in CertificateDer::pem_slice_iter(text) {
        match item {
            Ok(der) if !found.contains(&der) => found.push(der),
            Ok(_) => {}
            Err(_) => whole = false,
        }
    }
    (found, whole)
}

/// A certificate as PEM.
pub(super) fn pem(der: &CertificateDer<'_>) -> String {
    const LINE: usize = 64;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = (0..text.len())
        .step_by(LINE)
        .map(|start| &text[start..text.len().min(start + LINE)])
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn time(time: ASN1Time) -> SystemTime {
    // Times before 1970 are treated as 1970.
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut attributes = certificate.subject().iter_attributes();
    let name = certificate.subject().iter_common_name().next()?;
    let (_, alone) = (attributes.next()?, attributes.next().is_none());
    alone.then(|| name.as_str().ok().map(str::to_owned))?
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}
