//! Reviews that wait until the watch shows their namespace.
//!
//! A job's pod is created some milliseconds after its namespace, about when the watch
//! shows it. A look-up would cost the API server more than this wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use admission::namespace::Namespace;

/// How long a review waits. Longer than a watch takes to show a namespace, and far
/// shorter than what a job notices.
pub(super) const SHOWN_WITHIN: Duration = Duration::from_millis(50);

type Sender = oneshot::Sender<Arc<Namespace>>;

/// The reviews that wait, by the name of their namespace.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<HashMap<Box<str>, Vec<Sender>>>);

/// The place of a review that waits. It is freed on drop.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    arrivals: &'a Arrivals,
    name: &'a str,
    /// `None` after its end.
    shown: Option<oneshot::Receiver<Arc<Namespace>>>,
}

impl Arrivals {
    /// A place for a review of `name`. From now on it misses nothing.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> Arrival<'a> {
        let (sender, shown) = oneshot::channel();
        self.waiting().entry(name.into()).or_default().push(sender);
        Arrival {
            arrivals: self,
            name,
            shown: Some(shown),
        }
    }

    /// Hands `namespace` to all that wait for it.
    pub(super) fn show(&self, namespace: &Arc<Namespace>) {
        let waiting = self.waiting().remove(&*namespace.name);
        for sender in waiting.into_iter().flatten() {
            // An error means that the review no longer waits.
            let _ = sender.send(Arc::clone(namespace));
        }
    }

    /// Ends all waits, because the watch failed.
    pub(super) fn end(&self) {
        self.waiting().clear();
    }

    /// The number of names that are waited for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Box<str>, Vec<Sender>>> {
        self.0.lock().expect("no holder panics")
    }
}

impl Arrival<'_> {
    /// The namespace, if it is shown within this time. The first that waits in vain ends
    /// the wait of all for this name.
    pub(super) async fn within(mut self, time: Duration) -> Option<Arc<Namespace>> {
        let shown = self.shown.take()?;
        let Ok(shown) = timeout(time, shown).await else {
            // A look-up is due. Those that came later share one instead of one each.
            self.arrivals.waiting().remove(self.name);
            return None;
        };
        shown.ok()
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.shown = None;
        let mut waiting = self.arrivals.waiting();
        if let Some(senders) = waiting.get_mut(self.name) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Instant;

    use futures::poll;

    use super::*;

    fn namespace(name: &str) -> Arc<Namespace> {
        Arc::new(Namespace::new(name, [], []))
    }

    #[tokio::test]
    async fn a_review_waits_for_its_own_namespace_and_no_longer_than_allowed() {
        let arrivals = Arrivals::default();
        let start = Instant::now();
        let mut first = pin!(arrivals.of("ci-1").within(SHOWN_WITHIN));
        let mut second = pin!(arrivals.of("ci-1").within(SHOWN_WITHIN));
        let mut other = pin!(arrivals.of("ci-2").within(SHOWN_WITHIN));
        for waits in [&mut first, &mut second, &mut other] {
            assert!(poll!(waits).is_pending());
        }
        arrivals.show(&namespace("ci-1"));
        for waits in [first, second] {
            assert_eq!(poll!(waits), Poll::Ready(Some(namespace("ci-1"))));
        }
        assert_eq!(other.await, None);
        assert!(start.elapsed() >= SHOWN_WITHIN);
        assert_eq!(arrivals.len(), 0, "nothing is kept");
    }

    #[tokio::test]
    async fn a_watch_that_fails_ends_the_wait_and_a_review_that_leaves_frees_its_place() {
        let arrivals = Arrivals::default();
        let mut waits = pin!(arrivals.of("ci-1").within(SHOWN_WITHIN));
        assert!(poll!(&mut waits).is_pending());
        arrivals.end();
        assert_eq!(poll!(waits), Poll::Ready(None));
        let (left, stays) = (arrivals.of("ci-1"), arrivals.of("ci-1"));
        drop(left);
        assert_eq!(arrivals.len(), 1);
        drop(stays);
        assert_eq!(arrivals.len(), 0);
    }
}
