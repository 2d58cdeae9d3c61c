//! podseal's certificate, and whether the API server trusts it.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::facts::Release;
use super::finding::{Area, Finding, Severity, quote};
use super::look::Look;
use super::webhooks::logs;
use crate::certificates::pem::certificates;
use crate::probe::certificate::CertificateSummary;
use crate::probe::trust::Authorities;

/// A certificate that ends in fewer days should have been renewed.
const SOON: i64 = 7;

/// What is to be said of it. `bundles` are the authorities of podseal's webhooks, base64 of
/// PEM, each once.
pub(super) fn finding(release: &Release, bundles: &[String]) -> Finding {
    let place = format!(
        "Secret {}/{}",
        quote(&release.namespace),
        quote(&release.secret_name)
    );
    let of = |severity, id, what: String| {
        Finding::new(Area::Installation, severity, id, &place, what).page("docs/certificates.md")
    };
    let data = match &release.secret {
        Look::Seen(secret) => &secret.data,
        Look::Absent => {
            return of(
                Severity::Error,
                "secret-missing",
                "it does not exist".to_owned(),
            )
            .why("podseal serves without it only until it restarts")
            .fix(logs(Some(release)));
        }
        hidden => {
            return of(
                Severity::Unknown,
                "certificate-hidden",
                hidden.hidden().unwrap_or_default(),
            )
            .why("the Secret has the private key, so no role of podseal's for people has it; a dry run in a labelled namespace shows whether the API server trusts it now");
        }
    };
    let Some(pem) = data
        .get("tls.crt")
        .and_then(|text| STANDARD.decode(text).ok())
    else {
        return of(
            Severity::Error,
            "certificate-unreadable",
            "tls.crt is missing or not base64".to_owned(),
        );
    };
    for bundle in bundles.iter().filter(|bundle| !bundle.is_empty()) {
        let name = format!("{}.{}.svc", release.name, release.namespace);
        if let Err(why) = trusted(bundle, &pem, &name) {
            return of(
                Severity::Error,
                "certificate-untrusted",
                format!("a caBundle does not trust it: {why}"),
            )
            .why("the API server rejects podseal's certificate, so labelled namespaces get no pods")
            .fix(logs(Some(release)))
            .page("docs/troubleshooting.md#compare-the-authorities");
        }
    }
    let summary = certificates(&pem).ok();
    let summary = summary.and_then(|chain| CertificateSummary::read(&chain[0], SystemTime::now()));
    let Some(summary) = summary else {
        let what = "tls.crt has no certificate that can be read".to_owned();
        return of(Severity::Error, "certificate-unreadable", what);
    };
    let until = format!("valid until {}", summary.not_after);
    match summary.days_left < SOON {
        true => of(Severity::Warning, "certificate-ends", until)
            .why("it should have been renewed by now"),
        false if bundles.iter().any(|bundle| !bundle.is_empty()) => {
            let what = format!("{until}, and the webhooks trust it");
            of(Severity::Ok, "certificate", what)
        }
        // The webhooks' own findings say why.
        false => {
            let what = format!("{until}; no caBundle of a webhook is known to trust it");
            of(Severity::Unknown, "certificate", what)
        }
    }
}

fn trusted(bundle: &str, pem: &[u8], name: &str) -> Result<(), String> {
    let bundle = STANDARD
        .decode(bundle)
        .map_err(|_| "it is not base64".to_owned())?;
    let authorities = Authorities::from_pem(&bundle).map_err(|error| error.to_string())?;
    let trusted = authorities.trust(pem, name, SystemTime::now());
    trusted.map_err(|error| quote(&error))
}
