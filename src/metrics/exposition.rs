//! The two text formats of metrics, and which of them a scraper gets.
//!
//! OpenMetrics is what `prometheus-client` writes. Prometheus' own format, which
//! older scrapers and `curl` get, is made of it: the same samples, under other
//! names for their families.

use std::borrow::Cow;

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

    /// The format that a scraper gets, by its header `Accept`: OpenMetrics where
    /// it is asked for by name and nothing else is wanted more.
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
    /// In thousandths, which is all that HTTP allows.
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

/// `text`, which is OpenMetrics, in Prometheus' own format.
///
/// A counter's family is called like its samples there, with `_total`; an info
/// is a gauge; there are no units and there is no end marker. Samples are the
/// same, as long as they carry no exemplars, and podseal's carry none.
pub(super) fn into_prometheus(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), told) => help = told,
            (Some("#"), Some("TYPE"), Some(family), Some(kind)) => {
                let (family, kind) = renamed(family, kind);
                // Only here is it known what the family is called.
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
    fn a_scraper_gets_the_format_it_wants_most() {
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
    fn families_are_called_as_prometheus_calls_them_and_samples_stay() {
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
