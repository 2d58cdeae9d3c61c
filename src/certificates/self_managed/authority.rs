//! Certificate authorities, and the serving certificates (leaves) that they issue.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};

use super::certificate::Certificate;

/// A private key, which `Debug` does not show.
#[derive(Clone)]
pub(super) struct Key(Arc<KeyPair>);

/// A CA: its certificate, and its key if available.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    pub(super) key: Option<Key>,
}

/// A serving certificate and its key.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) certificate: Certificate,
    pub(super) key: Key,
}

/// Why a certificate cannot be created.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    /// Most likely a lack of randomness.
    #[error("cannot create a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The new certificate failed its check.
    #[error("a new certificate could not be verified")]
    Unusable,
}

impl Key {
    fn generate() -> Result<Key, rcgen::Error> {
        KeyPair::generate().map(|pair| Key(Arc::new(pair)))
    }

    /// The key in a PEM text, if it has a usable one.
    pub(super) fn from_pem(text: &[u8]) -> Option<Key> {
        let pair = KeyPair::from_pem(std::str::from_utf8(text).ok()?).ok()?;
        Some(Key(Arc::new(pair)))
    }

    pub(super) fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// Whether it is the key of `certificate`.
    pub(super) fn is_of(&self, certificate: &Certificate) -> bool {
        self.0.der_bytes() == certificate.public_key
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

impl Authority {
    /// A new CA with a unique name, serial number and key, by which clients find the
    /// issuer of a leaf in a bundle.
    pub(super) fn create(
        not_before: SystemTime,
        not_after: SystemTime,
    ) -> Result<Authority, MakeError> {
        let key = Key::generate()?;
        let mut params = CertificateParams::default();
        let name = format!("podseal CA {}", hex(&key.0.der_bytes()[1..9]));
        params.distinguished_name = common_name(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(not_before);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(not_after);
        let certificate = params.self_signed(&*key.0)?;
        let certificate = Certificate::from_der(certificate.der()).ok_or(MakeError::Unusable)?;
        Ok(Authority {
            certificate,
            key: Some(key),
        })
    }

    /// Whether it can issue certificates.
    pub(super) fn is_usable_at(&self, now: SystemTime) -> bool {
        self.key.is_some()
            && self.certificate.common_name.is_some()
            && self.certificate.is_valid_at(now)
    }

    /// A new leaf for `names`, with a new key. This requires the CA's key.
    ///
    /// Its validity begins when that of the CA does, and ends no later.
    pub(super) fn issue(&self, names: &[String], until: SystemTime) -> Result<Leaf, MakeError> {
        let authority = &self.certificate;
        let (Some(signing), Some(name)) = (&self.key, &authority.common_name) else {
            return Err(MakeError::Unusable);
        };
        let key = Key::generate()?;
        let mut params = CertificateParams::new(names)?;
        // Clients use the names of the extension, not of the subject.
        params.distinguished_name = common_name("podseal");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let until = until.min(authority.not_after);
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(authority.not_before);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(until);
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = common_name(name);
        let issuer = Issuer::new(issuer, &*signing.0);
        let certificate = params.signed_by(&*key.0, &issuer)?;
        let certificate = Certificate::from_der(certificate.der()).ok_or(MakeError::Unusable)?;
        if !certificate.is_issued_by(authority) {
            return Err(MakeError::Unusable);
        }
        Ok(Leaf { certificate, key })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// X.509 supports years up to 9999; a later clock is wrong.
fn since_1970(time: SystemTime) -> Duration {
    const YEAR_4000: Duration = Duration::from_secs(64_060_588_800);
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    Duration::from_secs(since.unwrap_or_default().min(YEAR_4000).as_secs())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> Authority {
        let now = SystemTime::now();
        Authority::create(now, now + Duration::from_secs(86_400)).expect("an authority")
    }

    #[test]
    fn a_leaf_holds_under_its_own_authority_and_no_other() {
        let (mine, other) = (authority(), authority());
        let names = ["podseal.podseal.svc".to_owned()];
        let far = SystemTime::now() + Duration::from_secs(1 << 32);
        let leaf = mine.issue(&names, far).expect("a leaf");
        assert!(leaf.certificate.is_issued_by(&mine.certificate));
        assert!(!leaf.certificate.is_issued_by(&other.certificate));
        assert_eq!(leaf.certificate.names, names);
        assert_eq!(leaf.certificate.not_after, mine.certificate.not_after);
        assert!(!leaf.certificate.is_authority);
        assert!(leaf.key.is_of(&leaf.certificate));
        assert_ne!(mine.certificate.common_name, other.certificate.common_name);
    }

    #[test]
    fn what_a_pem_text_says_survives_it() {
        let made = authority();
        let key = made.key.as_ref().expect("a new one has its key");
        let (read, whole) =
            super::super::certificate::certificates_in(made.certificate.pem().as_bytes());
        assert!(whole);
        assert_eq!(
            Certificate::from_der(&read[0]).as_ref(),
            Some(&made.certificate)
        );
        let read = Key::from_pem(key.pem().as_bytes()).expect("a key");
        assert!(read.is_of(&made.certificate));
    }

    #[test]
    fn a_key_never_shows() {
        let made = authority();
        let key = made.key.as_ref().expect("a new one has its key");
        let pem = key.pem();
        let secret = pem.lines().nth(1).expect("a body");
        for shown in [
            format!("{key:?}"),
            format!("{made:?}"),
            format!("{made:#?}"),
        ] {
            assert!(shown.contains("Key(secret)"), "{shown}");
            assert!(!shown.contains(&secret[..20]), "{shown}");
        }
    }

    #[test]
    fn a_clock_gone_wild_makes_certificates_and_no_panic() {
        let wild = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::pow(2, 40));
        let made = Authority::create(SystemTime::UNIX_EPOCH, wild).expect("an authority");
        made.issue(&["a".to_owned()], wild).expect("a leaf");
    }
}
