//! What is to be probed.

use std::time::Duration;

use super::target::Target;
use super::trust::Authorities;

/// A podseal that is to be probed.
pub struct ProbeConfig {
    /// Where.
    pub target: Target,
    /// Who may have issued the certificate that is shown.
    pub authorities: Authorities,
    /// The namespace of the pod that is reviewed.
    pub namespace: String,
    /// How long it may take until there is an answer; none at all asks once.
    pub timeout: Duration,
}
