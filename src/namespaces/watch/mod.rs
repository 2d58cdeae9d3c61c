//! Fills a cache: lists the namespaces of its selection, then watches them.
//!
//! Every watch is short: the API server must end it after [`WATCH`], which a watch
//! that hangs does not. So not the headers of an answer confirm the cache, but an
//! event, a bookmark or the expected end. kube's own watcher hides the last two, and
//! treats a broken connection as an end.
//!
//! Pages and events are read as they arrive, because users who may edit namespaces
//! can make them megabytes long. There is no time limit while bytes arrive;
//! [`WatchLag`] decides as of when they confirm the cache.
//!
//! After any other result the cache is stale, and all namespaces are listed again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::WatchParams;
use kube::core::Request;
use tokio::time::{sleep, timeout, timeout_at};

use super::cache::Cache;
use super::freshness::FRESH_FOR;
use super::object::{Event, EventKind, Object};
use super::selection::Selection;
use super::shared_pairs::SharedPairs;
use super::version::Version;
use super::watch_lag::WatchLag;
use crate::kubernetes::error::with_core;
use crate::kubernetes::json_stream::StreamError;
use crate::kubernetes::request::ask;
use crate::logging::throttle::LogThrottle;
use admission::namespace::{NEVER_CALLED, Namespace, is_clusters_own};

mod list;

/// The API path of namespaces.
pub(super) const PATH: &str = "/api/v1/namespaces";
/// The `timeoutSeconds` of a watch.
const WATCH: Duration = Duration::from_secs(5);
/// How much earlier a watch may end and still count as complete: the two clocks do not
/// start at the same time.
const EARLY: Duration = Duration::from_secs(1);
/// How long the API server may send no data within a page or an event.
const PROGRESS: Duration = Duration::from_secs(10);
/// The pause after the second consecutive failure, which doubles from then on. There
/// is none after the first.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a list or a watch failed.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("cannot send the request")]
    Client(#[from] kube::Error),
    #[error("cannot send the request")]
    Request(#[from] kube::core::request::Error),
    #[error("the API server did not answer in time")]
    Hung,
    #[error(transparent)]
    Answer(#[from] StreamError),
    #[error("the watch ended early")]
    EndedEarly,
    #[error("the API server ended the watch: {code}, {message}")]
    Refused { code: u16, message: String },
    #[error("the response has no resource version")]
    NoVersion,
}

/// Fills a cache.
pub(super) struct Watch {
    client: kube::Client,
    selection: Arc<Selection>,
    cache: Arc<Cache>,
    shared: SharedPairs,
    lag: WatchLag,
    pause: Duration,
    failures: LogThrottle,
    never_called: LogThrottle,
}

impl Watch {
    pub(super) fn new(client: kube::Client, selection: Arc<Selection>, cache: Arc<Cache>) -> Watch {
        Watch {
            client,
            selection,
            cache,
            shared: SharedPairs::default(),
            lag: WatchLag::new(Instant::now()),
            pause: Duration::ZERO,
            failures: LogThrottle::default(),
            never_called: LogThrottle::default(),
        }
    }

    /// Fills the cache while this is polled.
    pub(super) async fn run(mut self) {
        loop {
            let Err(broken) = self.list_and_watch().await;
            self.cache.mark_stale();
            if let Some(suppressed) = self.failures.pass() {
                let (error, selection) = (with_core(&broken), self.selection.name());
                tracing::warn!(
                    error,
                    selection,
                    suppressed,
                    "the watch of namespaces failed; listing them again"
                );
            }
            sleep(self.pause).await;
            self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        }
    }

    async fn list_and_watch(&mut self) -> Result<std::convert::Infallible, WatchError> {
        let mut version = self.list().await?;
        loop {
            version = self.watch(version).await?;
            self.pause = Duration::ZERO;
        }
    }

    /// Watches from `version` until the expected end of the watch, and returns the
    /// version to continue from.
    async fn watch(&mut self, mut version: String) -> Result<String, WatchError> {
        let asked = Instant::now();
        let seconds = u32::try_from(WATCH.as_secs()).expect("it is short");
        let params = WatchParams::default()
            .labels(&self.selection.labels())
            .timeout(seconds);
        let request = Request::new(PATH).watch_metadata(&params, &version)?;
        let answer = timeout(FRESH_FOR, ask(&self.client, request, PROGRESS)).await;
        let mut json = answer.map_err(|_| WatchError::Hung)??.of_lines();
        // The API server sends nothing after this, counted from the request, since its
        // headers may be late. Data that is read later, for example by a process that
        // was suspended, is old.
        let end = asked + WATCH;
        // By then the API server has ended the watch.
        let hung = asked + FRESH_FOR;
        let mut waited = None;
        loop {
            let begun = Instant::now();
            let begins = timeout_at(hung.into(), json.begins()).await;
            if !begins.map_err(|_| WatchError::Hung)?? {
                if asked.elapsed() < WATCH - EARLY {
                    return Err(WatchError::EndedEarly);
                }
                self.lag.waited(begun.elapsed());
                self.cache.confirm(self.lag.as_of().min(end));
                return Ok(version);
            }
            // The time before the first event may be the API server's own.
            self.lag
                .waited(waited.map_or(Duration::ZERO, |()| begun.elapsed()));
            waited = Some(());
            let before = json.taken();
            let event = Event::read(&mut json, self.selection.keys()).await?;
            version = self.take(event)?;
            self.lag.read(json.taken() - before);
            self.cache.confirm(self.lag.as_of().min(end));
            if Instant::now() >= hung {
                // It arrived slowly. The next watch delivers the events after it.
                return Ok(version);
            }
        }
    }

    /// Warns if one of the cluster's own namespaces opts in, which has no effect.
    fn warn_of(&self, namespace: &Namespace) {
        let has_no_effect = namespace.opts_in() && is_clusters_own(&namespace.name);
        if let Some(suppressed) = has_no_effect.then(|| self.never_called.pass()).flatten() {
            tracing::warn!(namespace = namespace.name, suppressed, "{NEVER_CALLED}");
        }
    }

    /// Applies an event, and returns its version.
    fn take(&mut self, Event { what, object }: Event) -> Result<String, WatchError> {
        if what == EventKind::Error {
            return Err(WatchError::Refused {
                code: object.code,
                message: object.message,
            });
        }
        let version = known(&object.version)?;
        let reached = Version::of(&version);
        match what {
            EventKind::Present => {
                let name = object.name.clone();
                match self.covered(object) {
                    Some(namespace) => self.cache.insert(namespace, reached),
                    None => self.cache.remove(&name, reached),
                }
            }
            EventKind::Deleted => self.cache.remove(&object.name, reached),
            EventKind::Bookmark | EventKind::Error => self.cache.reach(reached),
        }
        Ok(version)
    }

    /// The namespace, if reviews of it are to be answered by the cache.
    ///
    /// The API server creates no pods in a namespace that is being deleted. Whoever creates
    /// one in a namespace of this name has a new one, which the watch has not shown yet.
    fn covered(&mut self, object: Object) -> Option<Namespace> {
        let is_terminating = object.is_terminating;
        let namespace = Namespace::from(object);
        self.warn_of(&namespace);
        let is_covered = !is_terminating && self.selection.covers(&namespace);
        is_covered.then(|| self.shared.share(namespace))
    }
}

fn known(version: &str) -> Result<String, WatchError> {
    match version {
        "" => Err(WatchError::NoVersion),
        version => Ok(version.to_owned()),
    }
}
