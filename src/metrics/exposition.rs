//! The two text formats of metrics, and which of them a scraper gets.
//!
//! `prometheus-client` writes OpenMetrics. Prometheus' own format, for older
//! scrapers and `curl`, is converted from it: the samples are the same, the names
//! of some families differ.

use std::borrow::Cow;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Prometheus,
}

impl MetricsFormat {
    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            MetricsFormat::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            MetricsFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format for a scraper's `Accept` header: OpenMetrics if the header names it
    /// and prefers nothing else.
    ///
    /// A client that accepts neither gets Prometheus' format: metrics in an unexpected
    /// format help more than a 406.
    pub fn accepted(accept: &str) -> MetricsFormat {
        let wanted = |format| {
            let offers = accept.split(',').filter_map(AcceptedMedia::parse);
            let fitting = offers.filter(|offer| offer.fits(format));
            fitting.map(|offer| offer.quality).max().unwrap_or(0)
        };
        let (open, plain) = (
            wanted(MetricsFormat::OpenMetrics),
            wanted(MetricsFormat::Prometheus),
        );
        match open > 0 && open >= plain {
            true => MetricsFormat::OpenMetrics,
            false => MetricsFormat::Prometheus,
        }
    }
}

/// One of the media types in `Accept`.
struct AcceptedMedia<'a> {
    media: &'a str,
    version: Option<&'a str>,
    /// In thousandths, the precision of HTTP.
    quality: u32,
}

impl<'a> AcceptedMedia<'a> {
    fn parse(text: &'a str) -> Option<AcceptedMedia<'a>> {
        let mut parts = text.split(';').map(str::trim);
        let mut offer = AcceptedMedia {
            media: parts.next()?,
            version: None,
            quality: 1000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => offer.version = Some(value.trim().trim_matches('"')),
                "q" => {
                    let quality: f64 = value.trim().parse().ok()?;
                    offer.quality = (quality.clamp(0.0, 1.0) * 1000.0) as u32;
                }
                _ => {}
            }
        }
        Some(offer)
    }

    fn fits(&self, format: MetricsFormat) -> bool {
        let (media, version) = match format {
            MetricsFormat::OpenMetrics => (&["application/openmetrics-text"][..], "1.0.0"),
            MetricsFormat::Prometheus => (&["text/plain", "text/*", "*/*"][..], "0.0.4"),
        };
        media
            .iter()
            .any(|known| self.media.eq_ignore_ascii_case(known))
            && self.version.is_none_or(|wanted| wanted == version)
    }
}

/// The current values of all metrics of `registry`.
pub(super) fn encode(registry: &Registry, format: MetricsFormat) -> String {
    let mut open = String::with_capacity(32 * 1024);
    text::encode(&mut open, registry).expect("writing to a string does not fail");
    match format {
        MetricsFormat::OpenMetrics => open,
        MetricsFormat::Prometheus => into_prometheus(&open),
    }
}

/// Converts OpenMetrics to Prometheus' own format.
///
/// There, a counter's family has the name of its samples, with `_total`; an info
/// is a gauge; and there are no units and no end marker. Samples are the same if
/// they have no exemplars, and podseal's have none.
fn into_prometheus(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), text) => help = text,
            (Some("#"), Some("TYPE"), Some(family), Some(kind)) => {
                let (family, kind) = renamed(family, kind);
                // The name of the family depends on its type.
                if let Some(help) = help.take() {
                    out.extend(["# HELP ", &family, " ", help, "\n"]);
                }
                out.extend(["# TYPE ", &family, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => out.extend([line, "\n"]),
        }
    }
    out
}

fn renamed<'a>(family: &'a str, kind: &'a str) -> (Cow<'a, str>, &'a str) {
    match kind {
        "counter" => (format!("{family}_total").into(), kind),
        "info" => (format!("{family}_info").into(), "gauge"),
        "unknown" => (family.into(), "untyped"),
        _ => (family.into(), kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_it_prefers() {
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
            escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let cases = [
            (prometheus_3, MetricsFormat::OpenMetrics),
            ("application/openmetrics-text", MetricsFormat::OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"",
                MetricsFormat::OpenMetrics,
            ),
            (
                "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.2",
                MetricsFormat::Prometheus,
            ),
            (
                "application/openmetrics-text;version=0.0.1",
                MetricsFormat::Prometheus,
            ),
            (
                "application/openmetrics-text;q=0",
                MetricsFormat::Prometheus,
            ),
            (
                "application/openmetrics-text;q=x",
                MetricsFormat::Prometheus,
            ),
            ("text/plain", MetricsFormat::Prometheus),
            ("*/*", MetricsFormat::Prometheus),
            (browser, MetricsFormat::Prometheus),
            ("application/json", MetricsFormat::Prometheus),
            ("", MetricsFormat::Prometheus),
            (";;,,=;q", MetricsFormat::Prometheus),
        ];
        for (accept, expected) in cases {
            assert_eq!(MetricsFormat::accepted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn families_are_renamed_as_in_prometheus_and_samples_stay() {
        let open = "# HELP a_requests Requests.\n# TYPE a_requests counter\n\
            a_requests_total{x=\"1\"} 3\n\
            # HELP a_build Build.\n# TYPE a_build info\na_build_info{v=\"# 1\"} 1\n\
            # HELP a_size_bytes Size.\n# TYPE a_size_bytes gauge\n# UNIT a_size_bytes bytes\n\
            a_size_bytes 7\n# EOF\n";
        let plain = "# HELP a_requests_total Requests.\n# TYPE a_requests_total counter\n\
            a_requests_total{x=\"1\"} 3\n\
            # HELP a_build_info Build.\n# TYPE a_build_info gauge\na_build_info{v=\"# 1\"} 1\n\
            # HELP a_size_bytes Size.\n# TYPE a_size_bytes gauge\na_size_bytes 7\n";
        assert_eq!(into_prometheus(open), plain);
    }
}
