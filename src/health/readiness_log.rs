//! Logs when podseal becomes ready or not ready.
//!
//! The kubelet reports only that a probe failed. This logs the reason, once for each
//! change.

use std::time::{Duration, Instant, SystemTime};

use super::readiness::{Check, Readiness, Reason};

/// The longest time between checks. An expiry causes no event, and the clock may be
/// set.
const TICK: Duration = Duration::from_secs(10);

/// A change of readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessChange {
    /// All checks pass, for the first time.
    Ready,
    /// All checks pass again.
    ReadyAgain,
    /// This check fails, and all passed before.
    NoLonger(Check, Reason),
    /// Another check fails, or for another reason.
    Still(Check, Reason),
}

/// Calls `report` for every change of `readiness` until podseal shuts down, which is not
/// a failure.
pub async fn follow(
    readiness: Readiness,
    clock: impl Fn() -> SystemTime,
    mut report: impl FnMut(ReadinessChange),
) {
    let mut changes = readiness.changes();
    let mut logged = ReadinessLog::default();
    loop {
        let now = clock();
        let failed = Check::ALL
            .into_iter()
            .find_map(|check| Some((check, readiness.check(check, now).err()?)));
        // This is the last check, and may fail together with another one.
        if readiness.check(Check::Shutdown, now).is_err() {
            return;
        }
        if let Some(change) = logged.change(failed) {
            report(change);
        }
        let wait = readiness.valid_until(now).map_or(TICK, |end| {
            let left = end.duration_since(now).unwrap_or(TICK);
            // At least 1ms, so that an early timer does not cause a busy loop.
            left.clamp(Duration::from_millis(1), TICK)
        });
        tokio::select! {
            () = changes.next() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Logs changes of a podseal that started at `start`.
pub fn log(start: Instant) -> impl FnMut(ReadinessChange) {
    move |change| match change {
        ReadinessChange::Ready => {
            let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(elapsed_ms, "ready");
        }
        ReadinessChange::ReadyAgain => tracing::info!("ready"),
        ReadinessChange::NoLonger(check, reason) => {
            tracing::warn!(check = check.name(), reason = &*reason, "no longer ready");
        }
        ReadinessChange::Still(check, reason) => {
            tracing::warn!(check = check.name(), reason = &*reason, "still not ready");
        }
    }
}

/// The last logged state.
#[derive(Debug, Default)]
struct ReadinessLog {
    has_been_ready: bool,
    failed: Option<(Check, Reason)>,
}

impl ReadinessLog {
    /// The change to log if `failed` is the first failing check. Before podseal is ready
    /// for the first time, it logs nothing.
    fn change(&mut self, failed: Option<(Check, Reason)>) -> Option<ReadinessChange> {
        if !self.has_been_ready {
            self.has_been_ready = failed.is_none();
            return failed.is_none().then_some(ReadinessChange::Ready);
        }
        if self.failed == failed {
            return None;
        }
        let before = std::mem::replace(&mut self.failed, failed.clone());
        Some(match (before, failed) {
            (_, None) => ReadinessChange::ReadyAgain,
            (None, Some((check, reason))) => ReadinessChange::NoLonger(check, reason),
            (Some(_), Some((check, reason))) => ReadinessChange::Still(check, reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;

    use super::*;
    use crate::certificates::identity::Identity;
    use crate::certificates::serving::Serving;
    use crate::health::readiness::SelfProbeResult;
    use crate::namespaces::file::NamespaceFile;
    use crate::namespaces::source::Namespaces;

    const EXPIRED: &str = "the serving certificate has expired";

    /// A certificate that is valid for so many seconds from the epoch on.
    fn identity(seconds: u64) -> Identity {
        let mut params = rcgen::CertificateParams::new(["x".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        let key = rcgen::KeyPair::generate().expect("a key");
        let chain = params.self_signed(&key).expect("a certificate").pem();
        let key = key.serialize_pem();
        Identity::from_pem(chain.as_bytes(), key.as_bytes()).expect("an identity")
    }

    async fn next(
        changes: &mut mpsc::UnboundedReceiver<ReadinessChange>,
    ) -> Option<ReadinessChange> {
        let next = tokio::time::timeout(Duration::from_secs(60), changes.recv());
        next.await.expect("a change, or the end, in time")
    }

    #[tokio::test]
    async fn each_change_is_told_once_with_its_reason_and_the_stop_is_not() {
        let file = NamespaceFile::from_text("{kind: Namespace, metadata: {name: ci}}");
        let namespaces = Namespaces::File(Arc::new(file.expect("namespaces")));
        let serving = Serving::default();
        let readiness = Readiness::new(serving.current(), namespaces);
        let (first, second) = (identity(1_000), identity(2_000));
        // A moment before the first one expires.
        let time = Arc::new(Mutex::new(first.not_after() - Duration::from_millis(5)));
        let clock = Arc::clone(&time);
        let (sender, mut changes) = mpsc::unbounded_channel();
        tokio::spawn(follow(
            readiness.clone(),
            move || *clock.lock().expect("the time"),
            move |change| sender.send(change).expect("the test listens"),
        ));
        serving.present(first.clone());
        readiness.probed(SelfProbeResult::Passed);
        assert_eq!(next(&mut changes).await, Some(ReadinessChange::Ready));

        // Only the time has changed.
        *time.lock().expect("the time") = first.not_after();
        let expired = ReadinessChange::NoLonger(Check::Certificate, EXPIRED.into());
        assert_eq!(next(&mut changes).await, Some(expired));

        readiness.probed(SelfProbeResult::Failed("it is another's".to_owned()));
        serving.present(second);
        let probe = ReadinessChange::Still(Check::SelfProbe, "it is another's".into());
        assert_eq!(next(&mut changes).await, Some(probe));
        readiness.probed(SelfProbeResult::Passed);
        assert_eq!(next(&mut changes).await, Some(ReadinessChange::ReadyAgain));

        readiness.stopping();
        assert_eq!(next(&mut changes).await, None, "the end");
    }

    #[test]
    fn what_was_never_ready_is_not_told_to_be_ready_no_longer() {
        let failed = || Some((Check::Certificate, Reason::from(EXPIRED)));
        let mut logged = ReadinessLog::default();
        assert_eq!(logged.change(failed()), None);
        assert_eq!(logged.change(None), Some(ReadinessChange::Ready));
        assert_eq!(logged.change(None), None);
        assert!(matches!(
            logged.change(failed()),
            Some(ReadinessChange::NoLonger(..))
        ));
        assert_eq!(logged.change(failed()), None);
    }
}
