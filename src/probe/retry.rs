//! Asks until there is an answer, or the time is up.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::attempt::Attempt;
use super::certificate::Certificate;
use super::failure::Trouble;
use super::target::Target;
use super::trust::Authorities;

/// The pause after the first failure, and the longest; each is twice the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// What is to be asked.
pub struct Probe {
    /// Where.
    pub target: Target,
    /// Who may have issued the certificate that is shown.
    pub authorities: Authorities,
    /// The namespace of the pod that is reviewed.
    pub namespace: String,
    /// How long it may take until there is an answer; none at all asks once.
    pub timeout: Duration,
}

/// What is done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
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

/// Something that was done.
#[derive(Debug)]
pub struct Step {
    /// What.
    pub what: What,
    /// What was found; nothing where it failed.
    pub detail: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// How it ended.
#[derive(Debug)]
pub struct Report {
    /// What the last try did.
    pub steps: Vec<Step>,
    /// The certificate that was shown, trusted or not.
    pub certificate: Option<Certificate>,
    /// What was wrong in the end; nothing where podseal answers as it should.
    pub trouble: Option<Trouble>,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it took in all.
    pub took: Duration,
}

impl What {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            What::Lookup => "lookup",
            What::Connect => "connect",
            What::Handshake => "handshake",
            What::Mutate => "mutate",
            What::Validate => "validate",
        }
    }

    /// The path that is asked.
    pub(super) fn path(self) -> &'static str {
        match self {
            What::Mutate => "/mutate",
            _ => "/validate",
        }
    }
}

impl Probe {
    /// Asks, and again where that may help, and tells `waiting` of each failure
    /// in between, with the time that is left.
    pub async fn ask(&self, mut waiting: impl FnMut(&Trouble, Duration)) -> Report {
        let start = Instant::now();
        let deadline = start + self.timeout;
        let mut pause = PAUSES[0];
        let mut attempts = 0;
        loop {
            let attempt = Attempt::make(self, deadline).await;
            attempts += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            match &attempt.trouble {
                Some(trouble) if trouble.may_pass() && !left.is_zero() => {
                    waiting(trouble, left);
                }
                _ => {
                    return Report {
                        steps: attempt.steps,
                        certificate: attempt.certificate,
                        trouble: attempt.trouble,
                        attempts,
                        took: start.elapsed(),
                    };
                }
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}
