//! Fills the cache: lists the namespaces that opt in, then watches them.
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

use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use tokio::time::{sleep, timeout, timeout_at};

use super::cache::{Cache, NamespacesByName, SharedPairs};
use super::freshness::FRESH_FOR;
use super::object::{Event, EventKind, PageEnd, read_page};
use super::watch_lag::WatchLag;
use crate::kubernetes::error::with_core;
use crate::kubernetes::json_stream::StreamError;
use crate::kubernetes::request::ask;
use crate::logging::throttle::LogThrottle;
use admission::namespace::{NEVER_CALLED, Namespace, PROFILE, is_clusters_own};

/// The API path of namespaces.
pub(super) const PATH: &str = "/api/v1/namespaces";
/// The `timeoutSeconds` of a watch.
const WATCH: Duration = Duration::from_secs(5);
/// How much earlier a watch may end and still count as complete: the two clocks do not
/// start at the same time.
const EARLY: Duration = Duration::from_secs(1);
/// The maximum number of namespaces per page.
const PAGE: u64 = 500;
/// The number on the first page, before their size is known.
const FIRST_PAGE: u64 = 100;
/// The minimum number per page.
const SMALLEST_PAGE: u64 = 4;
/// The intended size of a page in bytes. The API server keeps a page in memory, and
/// its request times out after a minute.
const PAGE_BYTES: u64 = 32 << 20;
/// How often a failed page is requested again, each time with fewer namespaces.
const PAGE_TRIES: u32 = 4;
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
    cache: Arc<Cache>,
    shared: SharedPairs,
    lag: WatchLag,
    pause: Duration,
    failures: LogThrottle,
    never_called: LogThrottle,
}

impl Watch {
    pub(super) fn new(client: kube::Client, cache: Arc<Cache>) -> Watch {
        Watch {
            client,
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
                let error = with_core(&broken);
                tracing::warn!(
                    error,
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

    /// Lists the namespaces, and returns the version to watch from.
    async fn list(&mut self) -> Result<String, WatchError> {
        // The list is as of this time or later.
        let as_of = Instant::now();
        let mut namespaces = NamespacesByName::new();
        let mut next = String::new();
        let (mut size, mut tries, mut bytes) = (FIRST_PAGE, 0, 0);
        let version = loop {
            let mut params = ListParams::default().labels(PROFILE);
            params.limit = u32::try_from(size).ok();
            params.continue_token = Some(next.clone()).filter(|next| !next.is_empty());
            let page = match self.page(&params, &mut namespaces).await {
                Ok(page) => page,
                // The page may have been too large. What was read of it remains valid,
                // because the token fixes the version: the next page repeats it. Only
                // the first page has no token.
                Err(WatchError::Answer(_)) if tries < PAGE_TRIES => {
                    tries += 1;
                    size = (size / 4).max(SMALLEST_PAGE);
                    if next.is_empty() {
                        namespaces.clear();
                    }
                    continue;
                }
                Err(broken) => return Err(broken),
            };
            tries = 0;
            bytes += page.bytes;
            if page.end.next.is_empty() {
                break known(&page.end.version)?;
            }
            let of_one = (page.bytes / page.objects.max(1)).max(1);
            size = (PAGE_BYTES / of_one).clamp(SMALLEST_PAGE, PAGE);
            next = page.end.next;
        };
        let listed = namespaces.len();
        tracing::info!(namespaces = listed, "listed the namespaces that opt in");
        self.lag = WatchLag::new(as_of);
        self.lag.read(bytes);
        self.cache.replace(namespaces, as_of);
        Ok(version)
    }

    /// Gets a page, and adds its namespaces to `namespaces`.
    async fn page(
        &mut self,
        params: &ListParams,
        namespaces: &mut NamespacesByName,
    ) -> Result<Page, WatchError> {
        let request = Request::new(PATH).list_metadata(params)?;
        let answer = timeout(PROGRESS, ask(&self.client, request, PROGRESS)).await;
        let mut json = answer.map_err(|_| WatchError::Hung)??;
        let mut objects = 0;
        let end = read_page(&mut json, |object| {
            let namespace = self.shared.share(object.into());
            self.warn_of(&namespace);
            let name = namespace.name.as_str().into();
            namespaces.insert(name, Arc::new(namespace));
            objects += 1;
        });
        let end = end.await?;
        let bytes = json.taken();
        Ok(Page {
            end,
            objects,
            bytes,
        })
    }

    /// Watches from `version` until the expected end of the watch, and returns the
    /// version to continue from.
    async fn watch(&mut self, mut version: String) -> Result<String, WatchError> {
        let asked = Instant::now();
        let seconds = u32::try_from(WATCH.as_secs()).expect("it is short");
        let params = WatchParams::default().labels(PROFILE).timeout(seconds);
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
            version = self.take(Event::read(&mut json).await?)?;
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
        let has_no_effect = is_clusters_own(&namespace.name);
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
        match what {
            EventKind::Present => {
                let namespace = self.shared.share(object.into());
                self.warn_of(&namespace);
                self.cache.insert(namespace);
            }
            EventKind::Deleted => self.cache.remove(&object.name),
            EventKind::Bookmark | EventKind::Error => {}
        }
        Ok(version)
    }
}

/// A page that was read.
struct Page {
    end: PageEnd,
    objects: u64,
    bytes: u64,
}

fn known(version: &str) -> Result<String, WatchError> {
    match version {
        "" => Err(WatchError::NoVersion),
        version => Ok(version.to_owned()),
    }
}
