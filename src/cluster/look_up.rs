//! Namespaces that are asked for live, and how every look-up ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::api::GetParams;
use kube::core::Request;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer;
use super::error::{core_of, with_core};
use super::json_stream::Unread;
use super::namespaces::Unavailable;
use super::object::Object;
use super::watch::PATH;
use crate::admission::policy::Namespace;
use crate::admission::text::bounded;
use crate::seldom::Seldom;

/// How long a live look-up may take. The webhook's own `timeoutSeconds` is
/// longer, so the denial that follows still reaches the API server.
pub(super) const LOOK_UP: Duration = Duration::from_secs(2);
/// How many are under way at once. An API server that answers does so in a few
/// milliseconds, so this is thousands a second; one that does not is asked no
/// more than this, whoever sends reviews.
const AT_ONCE: usize = 32;

/// How a look-up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookUp {
    /// The cache knew.
    Hit,
    /// The API server was asked, and knew.
    Live,
    /// The API server was asked, and knows no such namespace.
    NotFound,
    /// The API server did not answer in time.
    TimedOut,
    /// The API server could not be asked, or refused.
    Failed,
    /// Too many were being asked for already.
    Busy,
}

impl LookUp {
    /// Every way.
    pub const ALL: [LookUp; 6] = [
        LookUp::Hit,
        LookUp::Live,
        LookUp::NotFound,
        LookUp::TimedOut,
        LookUp::Failed,
        LookUp::Busy,
    ];

    /// The way in a word, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            LookUp::Hit => "hit",
            LookUp::Live => "live",
            LookUp::NotFound => "not_found",
            LookUp::TimedOut => "timed_out",
            LookUp::Failed => "failed",
            LookUp::Busy => "busy",
        }
    }
}

/// How many look-ups ended in which way, since the start.
#[derive(Debug, Default)]
pub struct LookUps([AtomicU64; LookUp::ALL.len()]);

impl LookUps {
    /// How many ended this way.
    pub fn count(&self, how: LookUp) -> u64 {
        self.0[how as usize].load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, how: LookUp) {
        self.0[how as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Why the API server did not tell.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Client(#[from] kube::Error),
    #[error(transparent)]
    Answer(#[from] Unread),
}

/// Asks the API server for one namespace at a time.
#[derive(Debug)]
pub(super) struct Live {
    /// The labels that are kept beside podseal's own.
    keys: BTreeSet<String>,
    slots: Semaphore,
    failures: Seldom,
}

impl Live {
    /// One that keeps the labels of these keys, too.
    pub(super) fn keeping(keys: BTreeSet<String>) -> Live {
        Live {
            keys,
            slots: Semaphore::new(AT_ONCE),
            failures: Seldom::default(),
        }
    }

    /// The namespace called `name`, as it is now.
    pub(super) async fn get(
        &self,
        client: &kube::Client,
        name: &str,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        let Ok(_slot) = self.slots.try_acquire() else {
            self.warn(name, "too many at once");
            return Err(Unavailable::Busy);
        };
        let asked = async {
            match self.ask(client, name).await {
                Err(AskError::Client(kube::Error::Api(status))) => {
                    Err(kube::Error::Api(status).into())
                }
                // A kept connection may have ended this very moment.
                Err(_) => self.ask(client, name).await,
                found => found,
            }
        };
        match timeout(LOOK_UP.min(within), asked).await {
            Ok(Ok(object)) => {
                if object.name != name {
                    // Something between us and the API server answers for it.
                    self.warn(name, "the answer is about another object, or about none");
                    return Err(Unavailable::Failed);
                }
                Ok(Arc::new(object.into()))
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

    async fn ask(&self, client: &kube::Client, name: &str) -> Result<Object, AskError> {
        let request = Request::new(PATH).get_metadata(name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        let mut json = answer::ask(client, request, LOOK_UP).await?;
        Ok(Object::read_alone(&mut json, &self.keys).await?)
    }

    fn warn(&self, namespace: &str, error: &str) {
        if let Some(suppressed) = self.failures.pass() {
            let namespace = &*bounded(namespace);
            tracing::warn!(namespace, error, suppressed, "cannot look up a namespace");
        }
    }
}
