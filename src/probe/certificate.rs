//! A summary of a certificate.

use std::time::SystemTime;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use x509_parser::extensions::GeneralName;

use crate::certificates::identity::validity;
use admission::text::bounded;

/// The maximum number of names.
const NAMES: usize = 16;

/// A summary of a server's certificate, trusted or not. Its texts are escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSummary {
    /// The first sixteen hosts.
    pub names: Vec<String>,
    /// The issuer that it names.
    pub issuer: String,
    /// The beginning of its validity, in UTC.
    pub not_before: String,
    /// The end of its validity, in UTC.
    pub not_after: String,
    /// The number of whole days left.
    pub days_left: i64,
}

impl CertificateSummary {
    /// Summarizes `certificate` at `now`; none if it is not X.509.
    pub fn read(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<CertificateSummary> {
        let valid = validity(certificate).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let names = alternative.map(|names| &*names.value.general_names);
        let names = names.unwrap_or_default().iter().filter_map(name);
        let day = 24 * 60 * 60;
        let left = match valid.end.duration_since(now) {
            Ok(left) => i64::try_from(left.as_secs() / day).unwrap_or(i64::MAX),
            Err(over) => -i64::try_from(over.duration().as_secs() / day).unwrap_or(i64::MAX) - 1,
        };
        Some(CertificateSummary {
            names: names.take(NAMES).collect(),
            issuer: bounded(&parsed.issuer().to_string()).into_owned(),
            not_before: utc(valid.start),
            not_after: utc(valid.end),
            days_left: left,
        })
    }

    /// Its names as text.
    pub fn names(&self) -> String {
        match self.names.is_empty() {
            true => "no host".to_owned(),
            false => self.names.join(", "),
        }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(bounded(name).into_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

/// Times after the year 9999 have no date.
fn utc(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "for ever".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_is_told_by_its_hosts_its_issuer_and_its_end() {
        let names = ["a.b.svc", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 11);
        let issuer = "an \u{1b}[2J issuer";
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, issuer);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let read = |now| CertificateSummary::read(made.der(), now).expect("a certificate");
        // 2001-01-01 is 978307200.
        let told = read(at(978_307_200 + 86_400 + 1));
        assert_eq!(told.names(), "a.b.svc, 127.0.0.1, ::1");
        assert_eq!(told.not_after, "2001-01-11T00:00:00Z");
        assert_eq!(told.days_left, 8);
        assert!(!told.issuer.contains('\u{1b}') && told.issuer.contains("issuer"));
        assert_eq!(read(at(978_307_200 + 10 * 86_400 + 5)).days_left, -1);
    }
}
