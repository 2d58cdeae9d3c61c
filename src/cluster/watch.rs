//! Keeps the cache: lists the namespaces that opt in, then watches them.
//!
//! Every watch is a short one. A watch that hangs is told from a quiet one by
//! its end, which the API server owes after [`WATCH`]; so not an answer's headers
//! prove that the watch is alive, but what comes after them: an event, a
//! bookmark, or the end in due time. kube's own watcher hides the last two, and
//! takes a cut connection for an end.
//!
//! Whatever else happens, the cache is not trusted any more and the list is
//! taken anew: it is the one state that cannot be wrong.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::io::{AsyncBufReadExt, AsyncReadExt};
use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use tokio::time::{sleep, timeout};

use super::cache::{ByName, Cache, FRESH, Shared};
use super::error::with_core;
use super::object::{Line, Object, Page};
use crate::admission::policy::{NEVER_CALLED, Namespace, PROFILE, is_clusters_own};
use crate::seldom::Seldom;

/// Where the API server has namespaces.
pub(super) const PATH: &str = "/api/v1/namespaces";
/// How long the API server is asked to keep a watch.
const WATCH: Duration = Duration::from_secs(5);
/// How early a watch may end and still count as ended in due time: the two
/// clocks start apart.
const EARLY: Duration = Duration::from_secs(1);
/// How many namespaces are asked for at once, which bounds the memory a list
/// takes.
const PAGE: u32 = 500;
/// How long the API server may take for a page.
const PAGE_TIME: Duration = Duration::from_secs(10);
/// The longest event: what etcd takes for an object, and some more.
const LINE: u64 = 4 << 20;
/// The pause after the second failure in a row; it doubles from there. After
/// the first there is none.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a list or a watch is over before its time.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("cannot ask")]
    Client(#[from] kube::Error),
    #[error("cannot ask")]
    Request(#[from] kube::core::request::Error),
    #[error("the API server did not answer in time")]
    Hung,
    #[error("the connection broke")]
    Connection(#[from] io::Error),
    #[error("the watch ended before its time")]
    EndedEarly,
    #[error("the API server ended the watch: {code}, {message}")]
    Refused { code: u16, message: String },
    #[error("the answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("an event is longer than any namespace, or cut off")]
    Truncated,
    #[error("the answer lacks a resource version")]
    NoVersion,
}

/// What keeps a cache.
pub(super) struct Watch {
    client: kube::Client,
    cache: Arc<Cache>,
    shared: Shared,
    pause: Duration,
    failures: Seldom,
    never_called: Seldom,
}

impl Watch {
    pub(super) fn new(client: kube::Client, cache: Arc<Cache>) -> Watch {
        Watch {
            client,
            cache,
            shared: Shared::default(),
            pause: Duration::ZERO,
            failures: Seldom::default(),
            never_called: Seldom::default(),
        }
    }

    /// Keeps the cache for as long as this is polled.
    pub(super) async fn keep(mut self) {
        loop {
            let Err(broken) = self.list_and_watch().await;
            self.cache.forsake();
            if let Some(suppressed) = self.failures.pass() {
                let error = with_core(&broken);
                tracing::warn!(
                    error,
                    suppressed,
                    "the watch of namespaces broke; listing them anew"
                );
            }
            sleep(self.pause).await;
            self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        }
    }

    async fn list_and_watch(&mut self) -> Result<std::convert::Infallible, Broken> {
        let mut version = self.list().await?;
        loop {
            // No watch is older than this at its end, however little it says.
            let watch = timeout(FRESH, self.watch(version)).await;
            version = watch.map_err(|_| Broken::Hung)??;
            self.pause = Duration::ZERO;
        }
    }

    /// Lists the namespaces, and returns the version to watch from.
    async fn list(&mut self) -> Result<String, Broken> {
        // The list is no older than this. How much younger, it does not say.
        let as_of = Instant::now();
        let mut namespaces = ByName::new();
        let mut params = ListParams::default().labels(PROFILE).limit(PAGE);
        let mut body = Vec::new();
        loop {
            let page = timeout(PAGE_TIME, self.page(&params, &mut body)).await;
            let Page { metadata, items } = page.map_err(|_| Broken::Hung)??;
            for object in items {
                let namespace = self.shared.share(object.into());
                self.warn_of(&namespace);
                let name = namespace.name.as_str().into();
                namespaces.insert(name, Arc::new(namespace));
            }
            if metadata.next.is_empty() {
                let listed = namespaces.len();
                tracing::info!(namespaces = listed, "listed the namespaces that opt in");
                self.cache.replace(namespaces, as_of);
                return known(&metadata.resource_version);
            }
            params = params.continue_token(&metadata.next);
        }
    }

    /// Asks for a page, by way of `body`: the same memory for each.
    async fn page(&self, params: &ListParams, body: &mut Vec<u8>) -> Result<Page, Broken> {
        let request = Request::new(PATH).list_metadata(params)?;
        let mut answer = Box::pin(self.client.request_stream(request).await?);
        body.clear();
        answer.read_to_end(body).await?;
        Ok(serde_json::from_slice(body)?)
    }

    /// Watches from `version` until the watch ends in due time, and returns the
    /// version to go on from.
    async fn watch(&mut self, mut version: String) -> Result<String, Broken> {
        let asked = Instant::now();
        let seconds = u32::try_from(WATCH.as_secs()).expect("it is short");
        let params = WatchParams::default().labels(PROFILE).timeout(seconds);
        let request = Request::new(PATH).watch_metadata(&params, &version)?;
        let mut lines = Box::pin(self.client.request_stream(request).await?);
        // The API server says nothing after this, counted from when it was asked
        // and not from when its headers came, which may have taken their time.
        // What is read later, by a process that was stopped for a while, has been
        // lying about.
        let end = asked + WATCH;
        let as_of = || Instant::now().min(end);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut lines).take(LINE);
            limited.read_until(b'\n', &mut line).await?;
            if line.is_empty() {
                if asked.elapsed() < WATCH - EARLY {
                    return Err(Broken::EndedEarly);
                }
                self.cache.prove(as_of());
                return Ok(version);
            }
            if line.pop() != Some(b'\n') {
                return Err(Broken::Truncated);
            }
            version = self.take(serde_json::from_slice(&line)?)?;
            self.cache.prove(as_of());
        }
    }

    /// Who opts in with a namespace of the cluster's own would wait in vain.
    fn warn_of(&self, namespace: &Namespace) {
        let in_vain = is_clusters_own(&namespace.name);
        if let Some(suppressed) = in_vain.then(|| self.never_called.pass()).flatten() {
            tracing::warn!(namespace = namespace.name, suppressed, "{NEVER_CALLED}");
        }
    }

    /// Takes over what a line says, and returns the version it says it of.
    fn take(&mut self, line: Line) -> Result<String, Broken> {
        let version = |object: &Object| known(object.version());
        match line {
            Line::Added(object) | Line::Modified(object) => {
                let version = version(&object)?;
                let namespace = self.shared.share(object.into());
                self.warn_of(&namespace);
                self.cache.insert(namespace);
                Ok(version)
            }
            Line::Deleted(object) => {
                let version = version(&object)?;
                self.cache.remove(&Namespace::from(object).name);
                Ok(version)
            }
            Line::Bookmark(object) => version(&object),
            Line::Error(refusal) => Err(Broken::Refused {
                code: refusal.code,
                message: refusal.message,
            }),
        }
    }
}

fn known(version: &str) -> Result<String, Broken> {
    match version {
        "" => Err(Broken::NoVersion),
        version => Ok(version.to_owned()),
    }
}
