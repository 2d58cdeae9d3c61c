//! Keeps the cache: lists the namespaces that opt in, then watches them.
//!
//! Every watch is a short one. A watch that hangs differs from a quiet one by
//! its end, which the API server owes after [`WATCH`]; so not an answer's headers
//! prove that the watch is alive, but what comes after them: an event, a
//! bookmark, or the end in due time. kube's own watcher hides the last two, and
//! takes a cut connection for an end.
//!
//! Pages and events are read as they arrive, since anyone who may edit namespaces
//! can make one of them megabytes long. They may take their time while bytes come;
//! what they prove is as old as [`WatchLag`] says.
//!
//! Whatever else happens, the cache is not trusted any more and everything is
//! listed again: a list is the one state that cannot be wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use tokio::time::{sleep, timeout, timeout_at};

use super::cache::{Cache, FRESH_FOR, NamespacesByName, SharedPairs};
use super::object::{Event, EventKind, PageEnd, read_page};
use super::watch_lag::WatchLag;
use crate::kubernetes::error::with_core;
use crate::kubernetes::json_stream::StreamError;
use crate::kubernetes::request::ask;
use crate::logging::throttle::LogThrottle;
use admission::namespace::{NEVER_CALLED, Namespace, PROFILE, is_clusters_own};

/// Where the API server has namespaces.
pub(super) const PATH: &str = "/api/v1/namespaces";
/// How long the API server is asked to keep a watch.
const WATCH: Duration = Duration::from_secs(5);
/// How early a watch may end and still count as ended in due time: the two
/// clocks start apart.
const EARLY: Duration = Duration::from_secs(1);
/// How many namespaces are asked for at once, at most.
const PAGE: u64 = 500;
/// How many on the first page, before it is known how large they are.
const FIRST_PAGE: u64 = 100;
/// How many on the smallest page.
const SMALLEST_PAGE: u64 = 4;
/// How long a page should be, in bytes. The API server holds a page in memory, and
/// gives it up after a minute in all.
const PAGE_BYTES: u64 = 32 << 20;
/// How often in a row a page that broke is asked for again, each time a smaller
/// one.
const PAGE_TRIES: u32 = 4;
/// How long the API server may send nothing of a page or an event.
const PROGRESS: Duration = Duration::from_secs(10);
/// The pause after the second failure in a row; it doubles from there. After
/// the first there is none.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a list or a watch is over before its time.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("cannot ask")]
    Client(#[from] kube::Error),
    #[error("cannot ask")]
    Request(#[from] kube::core::request::Error),
    #[error("the API server did not answer in time")]
    Hung,
    #[error(transparent)]
    Answer(#[from] StreamError),
    #[error("the watch ended early")]
    EndedEarly,
    #[error("the API server ended the watch: {code}, {message}")]
    Refused { code: u16, message: String },
    #[error("the answer lacks a resource version")]
    NoVersion,
}

/// What keeps a cache.
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

    /// Keeps the cache for as long as this is polled.
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
        // The list is no older than this. How much younger, it does not say.
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
                // It was on its way, and may have been too much for the way. What was
                // read of it stays, since a token stands for a version: the page that
                // comes says the same of it. Only the first has no token yet.
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

    /// Asks for a page, and adds its namespaces to `namespaces`.
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

    /// Watches from `version` until the watch ends in due time, and returns the
    /// version to go on from.
    async fn watch(&mut self, mut version: String) -> Result<String, WatchError> {
        let asked = Instant::now();
        let seconds = u32::try_from(WATCH.as_secs()).expect("it is short");
        let params = WatchParams::default().labels(PROFILE).timeout(seconds);
        let request = Request::new(PATH).watch_metadata(&params, &version)?;
        let answer = timeout(FRESH_FOR, ask(&self.client, request, PROGRESS)).await;
        let mut json = answer.map_err(|_| WatchError::Hung)??.of_lines();
        // The API server says nothing after this, counted from when it was asked
        // and not from when its headers came, which may have taken their time.
        // What is read later, by a process that was stopped for a while, has been
        // lying about.
        let end = asked + WATCH;
        // By then the API server has ended the watch, however little it says.
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
            // Before the first event the API server may have had to think.
            self.lag
                .waited(waited.map_or(Duration::ZERO, |()| begun.elapsed()));
            waited = Some(());
            let before = json.taken();
            version = self.take(Event::read(&mut json).await?)?;
            self.lag.read(json.taken() - before);
            self.cache.confirm(self.lag.as_of().min(end));
            if Instant::now() >= hung {
                // It arrived slowly, and the next watch brings what waits behind it.
                return Ok(version);
            }
        }
    }

    /// Warns of a namespace of the cluster's own that opts in, which has no effect.
    fn warn_of(&self, namespace: &Namespace) {
        let in_vain = is_clusters_own(&namespace.name);
        if let Some(suppressed) = in_vain.then(|| self.never_called.pass()).flatten() {
            tracing::warn!(namespace = namespace.name, suppressed, "{NEVER_CALLED}");
        }
    }

    /// Takes over what an event says, and returns the version it says it of.
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

/// What is known of a page that was read.
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
