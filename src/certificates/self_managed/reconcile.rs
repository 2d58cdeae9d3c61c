//! The reconciliation loop: read, decide, write, wait.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rustls::pki_types::InvalidDnsNameError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::api_objects::{ApiObjects, Written, held};
use super::authority::MakeError;
use super::backoff::{Backoff, SHORTEST, jittered};
use super::clock::Clock;
use super::replica::{Replica, WebhookConfigurations};
use super::rotation::{SecretAction, WriteReason};
use super::secret::SecretContent;
use super::settings::Settings;
use super::state::Terms;
use super::status::Status;
use crate::certificates::identity::{Identity, IdentityError};
use crate::certificates::serving::Serving;
use crate::kubernetes::error::core_of;
use crate::logging::throttle::LogThrottle;
use crate::metrics::certificates::Upkeep;
use admission::text::remark;

/// How often everything is read again, even without an event.
const REREAD: Duration = Duration::from_secs(60);
/// The timeout of a round.
const ROUND: Duration = Duration::from_secs(30);
/// The maximum length of a logged error: all that [`core_of`] returns.
const SHOWN: usize = 512;

/// Reconciles the Secret, both configurations and the certificate in use until `stop` is
/// cancelled. Any number of replicas can do so at the same time.
///
/// # Errors
/// Immediately, when the names of Service and namespace form no DNS name.
pub async fn keep(
    client: kube::Client,
    settings: Settings,
    serving: Serving,
    status: Arc<Status>,
    stop: CancellationToken,
) -> Result<(), InvalidDnsNameError> {
    let keeper = Reconciler::new(&client, settings, serving, status)?;
    stop.run_until_cancelled_owned(keeper.run()).await;
    Ok(())
}

struct Reconciler {
    cluster: ApiObjects,
    replica: Replica,
    clock: Clock,
    serving: Serving,
    status: Arc<Status>,
    /// Which configurations existed in the last round.
    there: Option<[bool; 2]>,
    /// Whether a certificate is in use.
    serves: bool,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the API server took too long")]
    TimedOut,
    #[error("{}", core_of(.0))]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error("the Secret's certificate cannot be served: {0}")]
    Serve(#[from] IdentityError),
    #[error(
        "the Secret was not created by podseal: it has no annotation podseal.io/ca-generation; \
         delete it, or set another one with --tls-secret"
    )]
    Foreign,
}

/// The result of a round.
enum RoundOutcome {
    /// Nothing to do; the next round is after this time at the latest.
    Calm(Duration),
    /// Something was written, by this replica or a faster one.
    Busy,
}

impl Reconciler {
    fn new(
        client: &kube::Client,
        settings: Settings,
        serving: Serving,
        status: Arc<Status>,
    ) -> Result<Reconciler, InvalidDnsNameError> {
        let terms = Terms {
            names: settings.server_names()?,
            lifetimes: settings.lifetimes,
        };
        Ok(Reconciler {
            cluster: ApiObjects::new(client, settings.names),
            replica: Replica::new(terms),
            clock: settings.clock,
            serving,
            status,
            there: None,
            serves: false,
        })
    }

    async fn run(mut self) {
        let mut changes = self.cluster.changes();
        let mut pace = Backoff::default();
        let failures = LogThrottle::default();
        // Whether a failure was logged.
        let mut is_failing = false;
        loop {
            let round = timeout(ROUND, self.round()).await;
            let round = round.unwrap_or(Err(RoundError::TimedOut));
            if round.is_ok() {
                self.status.did(Upkeep::Round);
                if std::mem::take(&mut is_failing) {
                    tracing::info!("certificate reconciliation recovered");
                }
            }
            let wait = match round {
                Ok(RoundOutcome::Calm(wait)) => wait,
                Ok(RoundOutcome::Busy) => Duration::ZERO,
                Err(error) => {
                    self.status.did(Upkeep::Failure);
                    if let Some(suppressed) = failures.pass() {
                        is_failing = true;
                        // The error may quote the Secret.
                        let error = remark(&error.to_string(), SHOWN);
                        tracing::warn!(
                            error,
                            suppressed,
                            "certificate reconciliation failed; retrying"
                        );
                    }
                    Duration::ZERO
                }
            };
            // The next round covers all changes of this time.
            sleep(pace.after(wait.is_zero())).await;
            let deadline = sleep(jittered(wait));
            tokio::pin!(deadline);
            tokio::select! {
                () = &mut deadline => {}
                Some(()) = changes.next() => {}
            }
        }
    }

    async fn round(&mut self) -> Result<RoundOutcome, RoundError> {
        // In this order: a CA is in the Secret before it is in a configuration. So a CA
        // that is in a configuration here, but not in the Secret that is read next, must
        // be removed.
        let configurations = self.cluster.configurations().await?;
        self.log_installed(&configurations);
        let secret = self.cluster.secret().await?;
        let held = held(secret.as_ref());
        let mut busy = false;
        let mut wait = REREAD;
        match self.replica.next(&configurations, &held, (self.clock)())? {
            SecretAction::Refuse => return Err(RoundError::Foreign),
            SecretAction::Wait(left) => {
                wait = wait.min(left.unwrap_or(wait));
                if let SecretContent::Whole { state, .. } = held {
                    self.replica.learn(*state);
                }
            }
            SecretAction::Write(why, state) => {
                if self.cluster.write(secret, &state, &why).await? == Written::Conflict {
                    tracing::debug!("another replica wrote the Secret first");
                    return Ok(RoundOutcome::Busy);
                }
                self.log_write(&why, state.generation);
                self.replica.learn(*state);
                busy = true;
            }
        }
        // A new certificate replaces one in use whatever else fails. The first one waits
        // for the configurations: it makes podseal ready, and API servers that call it
        // must trust it.
        if self.serves {
            self.present(&configurations)?;
            busy |= self.correct(&configurations).await?;
        } else if self.correct(&configurations).await? {
            busy = true;
        } else {
            self.present(&configurations)?;
        }
        if busy {
            return Ok(RoundOutcome::Busy);
        }
        let foreign = self.replica.foreign_due((self.clock)().steady);
        Ok(RoundOutcome::Calm(
            wait.min(foreign.unwrap_or(wait)).max(SHORTEST),
        ))
    }

    /// Serves the certificate of the Secret, and updates metrics.
    fn present(&mut self, configurations: &WebhookConfigurations) -> Result<(), RoundError> {
        if let Some(state) = self.replica.memory() {
            self.status.show(state);
        }
        if let Some(state) = self.replica.presented(configurations).cloned() {
            let leaf = &state.leaf;
            let (certificate, key) = (leaf.certificate.pem(), leaf.key.pem());
            let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
            self.serving.present(identity);
            self.serves = true;
            self.replica.serves(&state);
            let not_after = jiff::Timestamp::try_from(leaf.certificate.not_after);
            let not_after = not_after.map_or_else(|_| String::new(), |time| time.to_string());
            tracing::info!(not_after, "serving a new certificate");
        }
        Ok(())
    }

    /// Corrects both configurations, and returns whether one required it.
    async fn correct(
        &mut self,
        configurations: &WebhookConfigurations,
    ) -> Result<bool, RoundError> {
        let patches = self
            .replica
            .corrections(configurations, (self.clock)().steady);
        let mut wrong = Ok(false);
        for (which, patch) in patches.into_iter().enumerate() {
            let Some(patch) = patch else { continue };
            let written = match self.cluster.correct(which, &patch).await {
                Ok(written) => written,
                Err(error) => {
                    // The other one is corrected all the same.
                    wrong = Err(error.into());
                    continue;
                }
            };
            wrong = wrong.map(|_| true);
            if written == Written::Done {
                self.status.did(Upkeep::Correction);
                let kind = [
                    "MutatingWebhookConfiguration",
                    "ValidatingWebhookConfiguration",
                ][which];
                tracing::info!(kind, "corrected the caBundle");
            }
        }
        wrong
    }

    /// Logs which configurations exist, if that has changed. A missing one is not an error,
    /// but operators may look for it.
    fn log_installed(&mut self, configurations: &WebhookConfigurations) {
        let there = configurations.each_ref().map(Option::is_some);
        if self.there != Some(there) {
            self.there = Some(there);
            let [mutating, validating] = there;
            tracing::info!(mutating, validating, "found the webhook configurations");
        }
    }

    fn log_write(&self, why: &WriteReason, generation: u64) {
        match why {
            WriteReason::Noted => tracing::debug!(generation, "{why}"),
            WriteReason::Restored | WriteReason::Repaired(_) | WriteReason::Recovered => {
                self.status.did(Upkeep::Repair);
                tracing::warn!(generation, "{why}");
            }
            _ => tracing::info!(generation, "{why}"),
        }
    }
}
