//! The readiness checks, and why each fails.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::certificates::identity::Validity;
use crate::certificates::serving::Current;
use crate::namespaces::source::Namespaces;

/// The state of the checks. Clones share it.
#[derive(Clone)]
pub struct Readiness(Arc<ReadinessInputs>);

struct ReadinessInputs {
    certificate: Current,
    namespaces: Namespaces,
    self_probe: watch::Sender<SelfProbeResult>,
    stopping: watch::Sender<bool>,
}

/// The result of the self-probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelfProbeResult {
    /// No result yet.
    NotYet,
    /// The port answers with the certificate in use.
    Passed,
    /// It does not, for this reason.
    Failed(String),
}

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// There is a valid serving certificate.
    Certificate,
    /// The cache of namespaces has been filled once.
    Namespaces,
    /// The webhooks' port answers TLS with the certificate in use.
    SelfProbe,
    /// podseal is not shutting down.
    Shutdown,
}

/// Why a check fails.
pub type Reason = Cow<'static, str>;

impl Check {
    /// All checks, in the order of the output.
    pub const ALL: [Check; 4] = [
        Check::Certificate,
        Check::Namespaces,
        Check::SelfProbe,
        Check::Shutdown,
    ];

    /// The check's name, as in `/readyz/NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Check::Certificate => "certificate",
            Check::Namespaces => "namespaces",
            Check::SelfProbe => "self-probe",
            Check::Shutdown => "shutdown",
        }
    }
}

impl Readiness {
    /// Readiness before the first self-probe.
    pub fn new(certificate: Current, namespaces: Namespaces) -> Readiness {
        Readiness(Arc::new(ReadinessInputs {
            certificate,
            namespaces,
            self_probe: watch::Sender::new(SelfProbeResult::NotYet),
            stopping: watch::Sender::new(false),
        }))
    }

    /// Makes podseal not ready, because it is shutting down.
    pub fn stopping(&self) {
        self.0.stopping.send_replace(true);
    }

    /// Sets the result of the self-probe.
    pub fn probed(&self, found: SelfProbeResult) {
        self.0.self_probe.send_replace(found);
    }

    /// Runs one check.
    ///
    /// # Errors
    /// Why it fails. The reasons contain no text from peers, since any client of the
    /// port can read them.
    pub fn check(&self, check: Check, now: SystemTime) -> Result<(), Reason> {
        let passes_or = |passes, reason| match passes {
            true => Ok(()),
            false => Err(Cow::Borrowed(reason)),
        };
        match check {
            Check::Certificate => match &*self.0.certificate.borrow() {
                None => Err("there is no serving certificate yet".into()),
                Some(served) => match served.identity.validity(now) {
                    Validity::Valid => Ok(()),
                    Validity::NotYet => Err("the serving certificate is not valid yet".into()),
                    Validity::Expired => Err("the serving certificate has expired".into()),
                },
            },
            Check::Namespaces => passes_or(
                self.0.namespaces.synced(),
                "the namespaces have not been listed yet",
            ),
            Check::SelfProbe => match &*self.0.self_probe.borrow() {
                SelfProbeResult::Passed => Ok(()),
                SelfProbeResult::NotYet => Err("the webhooks' port has not answered yet".into()),
                SelfProbeResult::Failed(why) => Err(why.clone().into()),
            },
            Check::Shutdown => {
                let is_stopping = *self.0.stopping.borrow();
                passes_or(!is_stopping, "shutting down")
            }
        }
    }

    /// When the validity of the certificate in use next begins or ends, after `now`.
    pub(super) fn valid_until(&self, now: SystemTime) -> Option<SystemTime> {
        let served = self.0.certificate.borrow();
        let identity = &served.as_ref()?.identity;
        [identity.not_before(), identity.not_after()]
            .into_iter()
            .find(|moment| *moment > now)
    }

    /// Reports changes from now on.
    pub(super) fn changes(&self) -> ReadinessChanges {
        ReadinessChanges {
            certificate: self.0.certificate.clone(),
            self_probe: self.0.self_probe.subscribe(),
            stopping: self.0.stopping.subscribe(),
            namespaces: self.0.namespaces.clone(),
            synced: self.0.namespaces.synced(),
        }
    }
}

/// Reports changes of the checks' inputs, except the time.
pub(super) struct ReadinessChanges {
    certificate: Current,
    self_probe: watch::Receiver<SelfProbeResult>,
    stopping: watch::Receiver<bool>,
    namespaces: Namespaces,
    synced: bool,
}

impl ReadinessChanges {
    /// Waits for the next change since this was made, or last returned.
    pub(super) async fn next(&mut self) {
        let synced = async {
            match self.synced {
                // This does not change any more.
                true => std::future::pending().await,
                false => self.namespaces.wait_synced().await,
            }
        };
        tokio::select! {
            // The senders live at least as long as this.
            Ok(()) = self.certificate.changed() => {}
            Ok(()) = self.self_probe.changed() => {}
            Ok(()) = self.stopping.changed() => {}
            () = synced => self.synced = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::certificates::identity::Identity;
    use crate::certificates::serving::Serving;
    use crate::namespaces::file::NamespaceFile;

    const FILE: &str = "{kind: Namespace, metadata: {name: ci}}";

    fn readiness(serving: &Serving) -> Readiness {
        let file = NamespaceFile::from_text(FILE).expect("namespaces");
        Readiness::new(serving.current(), Namespaces::File(Arc::new(file)))
    }

    fn identity() -> Identity {
        let made = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Identity::from_pem(chain.as_bytes(), key.as_bytes()).expect("an identity")
    }

    #[test]
    fn each_check_fails_with_its_own_reason_until_it_passes() {
        let serving = Serving::default();
        let readiness = readiness(&serving);
        let now = SystemTime::now();
        let reason = |check| readiness.check(check, now).expect_err("a reason");
        assert!(reason(Check::Certificate).contains("no serving certificate"));
        assert!(reason(Check::SelfProbe).contains("not answered yet"));
        assert_eq!(readiness.check(Check::Namespaces, now), Ok(()));
        assert_eq!(readiness.check(Check::Shutdown, now), Ok(()));

        serving.present(identity());
        readiness.probed(SelfProbeResult::Failed("it is another's".to_owned()));
        assert_eq!(readiness.check(Check::Certificate, now), Ok(()));
        assert_eq!(reason(Check::SelfProbe), "it is another's");

        readiness.probed(SelfProbeResult::Passed);
        readiness.stopping();
        assert_eq!(readiness.check(Check::SelfProbe, now), Ok(()));
        assert_eq!(reason(Check::Shutdown), "shutting down");
    }

    #[test]
    fn a_certificate_fails_from_the_second_it_expires() {
        let serving = Serving::default();
        let identity = identity();
        let expiry = identity.not_after();
        serving.present(identity);
        let readiness = readiness(&serving);
        let second = Duration::from_secs(1);
        assert_eq!(readiness.check(Check::Certificate, expiry - second), Ok(()));
        let reason = readiness.check(Check::Certificate, expiry);
        assert!(reason.expect_err("a reason").contains("expired"));
    }

    #[test]
    fn a_certificate_fails_until_the_second_it_is_valid() {
        let serving = Serving::default();
        let identity = identity();
        let start = identity.not_before();
        serving.present(identity);
        let readiness = readiness(&serving);
        let reason = readiness.check(Check::Certificate, start - Duration::from_secs(1));
        let reason = reason.expect_err("a reason");
        assert_eq!(reason, "the serving certificate is not valid yet");
        assert_eq!(readiness.check(Check::Certificate, start), Ok(()));
    }
}
