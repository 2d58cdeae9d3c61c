//! Live look-ups of namespaces.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use kube::api::GetParams;
use kube::core::Request;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{timeout, timeout_at};

use super::learned::Found;
use super::look_up_queue::{LookUpQueue, NextLookUp, QueueFull, SLOW};
use super::object::Object;
use super::unavailable::Unavailable;
use super::watch::PATH;
use crate::fairness::peer::Peer;
use crate::kubernetes::client::{client, unpooled};
use crate::kubernetes::error::{core_of, with_core};
use crate::kubernetes::json_stream::StreamError;
use crate::kubernetes::request;
use crate::logging::throttle::LogThrottle;
use admission::text::bounded;

/// The timeout of a live look-up. It is shorter than the webhook's
/// `timeoutSeconds`, so that the denial still reaches the API server.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// After how long without an answer a connection may be lost. A slow API server, which
/// answers by then, gets each request once.
const HANGS: Duration = Duration::from_secs(1);
/// How long a connection may be silent. It is longer than the timeout of a look-up, which
/// has the better error message.
const PATIENCE: Duration = Duration::from_secs(3);

type LookUpResult = Result<Found, Unavailable>;

/// Gets namespaces from the API server, one per request.
#[derive(Debug)]
pub(super) struct LiveLookUps {
    client: Client,
    /// Opens a connection for each request.
    unpooled: Client,
    /// Labels to keep in addition to podseal's own.
    keys: BTreeSet<String>,
    waiting: Mutex<LookUpQueue<oneshot::Sender<LookUpResult>>>,
    runtime: Handle,
    failures: LogThrottle,
}

/// `kube::Client` does not implement `Debug`.
struct Client(kube::Client);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Client(#[from] kube::Error),
    #[error(transparent)]
    Answer(#[from] StreamError),
}

impl LiveLookUps {
    /// Look-ups that also keep labels with these `keys`, for which at most `most`
    /// reviews wait. They run as tasks of the current runtime.
    ///
    /// # Errors
    /// When no client can be created from `config`.
    pub(super) fn new(
        config: kube::Config,
        keys: BTreeSet<String>,
        most: usize,
    ) -> kube::Result<LiveLookUps> {
        Ok(LiveLookUps {
            client: Client(client(config.clone(), PATIENCE)?),
            unpooled: Client(client(unpooled(config), PATIENCE)?),
            keys,
            waiting: Mutex::new(LookUpQueue::new(most)),
            runtime: Handle::current(),
            failures: LogThrottle::default(),
        })
    }

    /// The namespace `name`, a DNS label, as of this call or later.
    pub(super) async fn get(
        self: &Arc<LiveLookUps>,
        name: &str,
        peer: Peer,
        within: Duration,
    ) -> LookUpResult {
        let since = Instant::now();
        let until = since + LOOK_UP_TIMEOUT.min(within);
        let (answer, mut answered) = oneshot::channel();
        let asked = self.waiting().ask(peer, name, (since, until), answer);
        let Ok(number) = asked.map_err(|QueueFull| self.warn(name, "too many look-ups at once"))
        else {
            return Err(Unavailable::Busy);
        };
        let _place = WaitingReview { live: self, number };
        self.send_next();
        let answered = async {
            if let Ok(found) = timeout(SLOW, &mut answered).await {
                return found;
            }
            // A look-up in flight for this name no longer blocks another one.
            self.send_next();
            answered.await
        };
        match timeout_at(until.into(), answered).await {
            Ok(Ok(found)) => found,
            Ok(Err(_evicted)) => {
                self.warn(name, "too many look-ups at once");
                Err(Unavailable::Busy)
            }
            Err(_) => {
                self.warn(name, "timed out");
                Err(Unavailable::TimedOut)
            }
        }
    }

    /// Starts the look-ups that may start now.
    fn send_next(self: &Arc<LiveLookUps>) {
        loop {
            let next = self.waiting().next(Instant::now());
            let Some(send) = next else { return };
            let under_way = RunningLookUp {
                live: Arc::clone(self),
                send,
                found: Err(Unavailable::Failed),
            };
            self.runtime.spawn(under_way.finish());
        }
    }

    async fn look_up(&self, NextLookUp { name, until, .. }: &NextLookUp) -> LookUpResult {
        match timeout_at((*until).into(), self.ask_twice(name)).await {
            Ok(Ok(object)) => {
                if *object.name != **name {
                    // A proxy may answer for the API server.
                    self.warn(name, "the response is for another object, or for none");
                    return Err(Unavailable::Failed);
                }
                Ok(object.into())
            }
            Ok(Err(AskError::Client(kube::Error::Api(status)))) if status.code == 404 => {
                Err(Unavailable::NotFound)
            }
            Ok(Err(AskError::Client(error))) => {
                self.warn(name, &core_of(&error));
                Err(Unavailable::Failed)
            }
            Ok(Err(AskError::Answer(error))) => {
                self.warn(name, &with_core(&error));
                Err(Unavailable::Failed)
            }
            Err(_) => {
                self.warn(name, "timed out");
                Err(Unavailable::TimedOut)
            }
        }
    }

    /// Asks by a pooled connection. It may have been closed, or lost without a sign; so
    /// this asks again by a new one after a failure, or where it hangs.
    async fn ask_twice(&self, name: &str) -> Result<Object, AskError> {
        let is_answer = |result: &Result<Object, AskError>| {
            matches!(result, Ok(_) | Err(AskError::Client(kube::Error::Api(_))))
        };
        let mut pooled = pin!(self.ask(&self.client, name));
        match timeout(HANGS, &mut pooled).await {
            Ok(result) if is_answer(&result) => return result,
            Ok(_closed) => return self.ask(&self.unpooled, name).await,
            Err(_hangs) => {}
        }
        let new = pin!(self.ask(&self.unpooled, name));
        match select(pooled, new).await {
            Either::Left((result, new)) if !is_answer(&result) => new.await,
            Either::Right((result, pooled)) if !is_answer(&result) => pooled.await,
            Either::Left((result, _)) | Either::Right((result, _)) => result,
        }
    }

    async fn ask(&self, client: &Client, name: &str) -> Result<Object, AskError> {
        let request = Request::new(PATH).get_metadata(name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        let mut json = request::ask(&client.0, request, LOOK_UP_TIMEOUT).await?;
        Ok(Object::read_alone(&mut json, &self.keys).await?)
    }

    fn waiting(&self) -> MutexGuard<'_, LookUpQueue<oneshot::Sender<LookUpResult>>> {
        self.waiting.lock().expect("no holder panics")
    }

    /// Warns of an answer that has changed since, as the watch showed.
    pub(super) fn warn_of_outdated(&self, namespace: &str) {
        self.warn(
            namespace,
            "the response is older than what the watch has shown",
        );
    }

    fn warn(&self, namespace: &str, error: &str) {
        if let Some(suppressed) = self.failures.pass() {
            let namespace = &*bounded(namespace);
            tracing::warn!(namespace, error, suppressed, "cannot look up a namespace");
        }
    }
}

/// A waiting review. When it is dropped, the review no longer waits.
struct WaitingReview<'l> {
    live: &'l LiveLookUps,
    number: u64,
}

impl Drop for WaitingReview<'_> {
    fn drop(&mut self) {
        self.live.waiting().abandon(self.number);
    }
}

/// A running look-up. It is answered on drop, whatever the cause, so that its slot
/// is always freed.
struct RunningLookUp {
    live: Arc<LiveLookUps>,
    send: NextLookUp,
    found: LookUpResult,
}

impl RunningLookUp {
    async fn finish(mut self) {
        self.found = self.live.look_up(&self.send).await;
    }
}

impl Drop for RunningLookUp {
    fn drop(&mut self) {
        let exists = match self.found {
            Ok(_) => Some(true),
            Err(Unavailable::NotFound) => Some(false),
            Err(_) => None,
        };
        let answers = self.live.waiting().answer(self.send.number, exists);
        for answer in answers {
            // An error means that the review no longer waits.
            let _ = answer.send(self.found.clone());
        }
        self.live.send_next();
    }
}
