//! The load, which `oha` makes.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::server::Server;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Protocol {
    /// With keep-alive, as an API server speaks to a Service.
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// As an API server speaks to a loopback URL.
    #[serde(rename = "HTTP/2")]
    Http2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        })
    }
}

/// When the load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After so many requests, as fast as they are answered.
    Requests(u64),
    /// After so many requests, of which so many are sent in a second, whether
    /// others have been answered or not.
    Rate(u64, f64),
}

/// What is asked, and where.
#[derive(Clone)]
pub(crate) struct Load<'s> {
    /// Who is asked.
    pub(crate) server: &'s Server,
    /// `/mutate`, or another.
    pub(crate) path: &'static str,
    /// The file with the review.
    pub(crate) body: PathBuf,
    /// How.
    pub(crate) protocol: Protocol,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Outcome {
    /// How many requests were answered in a second.
    pub(crate) per_second: f64,
    /// Half the answers came within so many milliseconds.
    pub(crate) p50_ms: f64,
    /// All but one in a hundred did.
    pub(crate) p99_ms: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    summary: Summary,
    latency_percentiles: Percentiles,
    status_code_distribution: std::collections::BTreeMap<String, u64>,
    error_distribution: std::collections::BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    requests_per_sec: f64,
}

/// In seconds.
#[derive(Deserialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

impl Load<'_> {
    /// Makes the load, and sees to it that every request was answered: a
    /// refusal is cheaper than a review, and must not be measured for one.
    pub(crate) fn run(&self, identity: &Identity, until: Until) -> Outcome {
        let mut oha = oha();
        oha.args(["--no-tui", "--output-format", "json"]);
        oha.args(["-m", "POST", "-T", "application/json"]);
        oha.arg("--cacert").arg(identity.certificate());
        oha.arg("-D").arg(&self.body);
        // Sixteen requests at once, by way of as many connections or of two.
        match self.protocol {
            Protocol::Http1 => oha.args(["-c", "16"]),
            Protocol::Http2 => oha.args(["--http2", "-c", "2", "-p", "8"]),
        };
        let requests = match until {
            Until::Requests(requests) => requests,
            Until::Rate(requests, rate) => {
                // The time a request waits for its turn counts as well.
                oha.args(["--latency-correction", "-q", &rate.to_string()]);
                requests
            }
        };
        oha.args(["-n", &requests.to_string()]);
        oha.arg(format!("https://{}{}", self.server.address, self.path));
        let output = oha.output().expect("bash can be started");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "oha: {complaint}");
        let report: Report = serde_json::from_slice(&output.stdout).expect("oha's report");
        let answered = report.status_code_distribution.get("200").copied();
        assert_eq!(
            answered,
            Some(requests),
            "{}: {:?} {:?}",
            self.path,
            report.status_code_distribution,
            report.error_distribution
        );
        Outcome {
            per_second: report.summary.requests_per_sec,
            p50_ms: report.latency_percentiles.p50 * 1e3,
            p99_ms: report.latency_percentiles.p99 * 1e3,
        }
    }
}

/// The load generator, built where it is missing.
pub(crate) fn oha() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/oha"))
}
