//! What a probe did, and how it ended.

use std::time::Duration;

use super::certificate::CertificateSummary;
use super::failure::Failure;

/// What an attempt does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Finds the addresses of the host.
    Lookup,
    /// Connects to one.
    Connect,
    /// Speaks TLS, and verifies the certificate.
    Handshake,
    /// Has the mutating webhook review a pod.
    Mutate,
    /// Has the validating webhook review it.
    Validate,
}

/// A stage that was begun.
#[derive(Debug)]
pub struct Step {
    /// What was done.
    pub stage: Stage,
    /// What was found; nothing where it failed.
    pub detail: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// How a probe ended.
#[derive(Debug)]
pub struct Report {
    /// What the last attempt did.
    pub steps: Vec<Step>,
    /// The certificate that was shown, trusted or not.
    pub certificate: Option<CertificateSummary>,
    /// What was wrong in the end; nothing where podseal answers as it should.
    pub failure: Option<Failure>,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it took in all.
    pub took: Duration,
}

impl Stage {
    /// The stage in a word.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Lookup => "lookup",
            Stage::Connect => "connect",
            Stage::Handshake => "handshake",
            Stage::Mutate => "mutate",
            Stage::Validate => "validate",
        }
    }

    /// The path that is asked in this stage.
    pub(super) fn path(self) -> &'static str {
        match self {
            Stage::Mutate => "/mutate",
            _ => "/validate",
        }
    }
}
