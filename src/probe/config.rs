//! The parameters of a probe.

use std::time::Duration;

use super::target::Target;
use super::trust::Authorities;

/// The parameters of a probe.
pub struct ProbeConfig {
    /// The URL.
    pub target: Target,
    /// The CAs to verify the certificate with.
    pub authorities: Authorities,
    /// The namespace of the reviewed pod.
    pub namespace: String,
    /// How long to retry; zero makes one attempt.
    pub timeout: Duration,
}
