//! The steps of a probe, and its result.

use std::time::Duration;

use super::certificate::CertificateSummary;
use super::failure::Failure;

/// The stages of an attempt, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Resolves the host.
    Lookup,
    /// Connects to an address.
    Connect,
    /// Makes the TLS handshake, and verifies the certificate.
    Handshake,
    /// Sends the review of a pod to the mutating webhook.
    Mutate,
    /// Sends the review of a pod to the validating webhook.
    Validate,
}

/// A stage that was begun.
#[derive(Debug)]
pub struct Step {
    /// The stage.
    pub stage: Stage,
    /// The result; none if it failed.
    pub detail: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// The result of a probe.
#[derive(Debug)]
pub struct Report {
    /// The steps of the last attempt.
    pub steps: Vec<Step>,
    /// The certificate that was presented, trusted or not.
    pub certificate: Option<CertificateSummary>,
    /// The failure of the last attempt; none if podseal answers as required.
    pub failure: Option<Failure>,
    /// The number of attempts.
    pub attempts: u32,
    /// The total time.
    pub took: Duration,
}

impl Stage {
    /// The stage as one word.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Lookup => "lookup",
            Stage::Connect => "connect",
            Stage::Handshake => "handshake",
            Stage::Mutate => "mutate",
            Stage::Validate => "validate",
        }
    }

    /// The webhook's path in this stage.
    pub(super) fn path(self) -> &'static str {
        match self {
            Stage::Mutate => "/mutate",
            _ => "/validate",
        }
    }
}
