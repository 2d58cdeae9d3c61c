//! Gets namespaces from the cluster or from a file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::cache::{Cache, Learning};
use super::file::NamespaceFile;
use super::freshness::FRESH_FOR;
use super::learned::Found;
use super::look_up::LiveLookUps;
use super::selection::Selection;
use super::unavailable::Unavailable;
use super::watched::Watched;
use crate::fairness::peer::Peer;
use crate::kubernetes::client::client;
use crate::metrics::namespaces::{CacheState, LookUp, LookUps};
use admission::namespace::Namespace;
use admission::namespace::rules::NamespaceRules;

/// The source of namespaces: all that a review waits for.
#[derive(Clone)]
pub enum Namespaces {
    /// A file, read once: for tests, the demo and `podseal review`.
    File(Arc<NamespaceFile>),
    /// The API server: a watch, and a GET if the watch does not explain the call or
    /// may be behind.
    WatchedNamespaces(Arc<WatchedNamespaces>),
}

/// The API server's namespaces.
pub struct WatchedNamespaces {
    by_label: Watched,
    /// `None` without namespace rules.
    by_rules: Option<Watched>,
    live: Arc<LiveLookUps>,
    /// For reviews that wait for a watch to show their namespace.
    waiting: Semaphore,
    look_ups: LookUps,
}

/// Why the API server calls, by the path of the review. A cached namespace that does not
/// explain it is behind, or the API server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledBy {
    /// The namespace has the label, as far as the API server knows. A webhook that was
    /// registered for rules without their path is called so too.
    Label,
    /// It has no label, and a namespace rule matches it.
    Rules,
}

impl Namespaces {
    /// The namespaces of the cluster of `config`, watched by tasks of the current runtime.
    /// At most `most_waiting` reviews wait for live look-ups, and half as many for a watch.
    /// `look_ups` counts their results.
    ///
    /// # Errors
    /// When no client can be created from `config`.
    pub fn from_cluster(
        config: kube::Config,
        rules: &NamespaceRules,
        most_waiting: usize,
        look_ups: LookUps,
    ) -> kube::Result<Namespaces> {
        let watched = |selection| {
            // A client for each, because their timeouts differ from those of look-ups, and
            // a connection that one of them breaks must not stop the other.
            let client = client(config.clone(), FRESH_FOR)?;
            Ok::<_, kube::Error>(Watched::start(client, selection))
        };
        let by_label = watched(Selection::Label)?;
        let by_rules = Selection::by_rules(rules).map(watched).transpose()?;
        let live = LiveLookUps::new(config, rules.label_keys(), most_waiting)?;
        Ok(Namespaces::WatchedNamespaces(Arc::new(WatchedNamespaces {
            by_label,
            by_rules,
            live: Arc::new(live),
            waiting: Semaphore::new((most_waiting / 2).max(1)),
            look_ups,
        })))
    }

    /// The namespace `name`, for a review from `peer`, `within` this time.
    ///
    /// # Errors
    /// When the look-up fails. The caller must then deny the review: admitting pods
    /// after failed look-ups would make the webhook easy to bypass.
    pub async fn get(
        &self,
        name: &str,
        called_by: CalledBy,
        peer: Peer,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        match self {
            Namespaces::File(file) => file.get(name).ok_or(Unavailable::NotInFile),
            Namespaces::WatchedNamespaces(cluster) => {
                cluster.get(name, called_by, peer, within).await
            }
        }
    }

    /// Whether there has been a complete list of each selection. This stays true if the
    /// API server becomes unavailable: live look-ups then fail by themselves.
    pub fn synced(&self) -> bool {
        self.caches().all(Cache::synced)
    }

    /// Waits for the first complete list of each selection.
    pub async fn wait_synced(&self) {
        for cache in self.caches() {
            cache.wait_synced().await;
        }
    }

    /// The namespaces with the label that are known without a look-up; all of a file.
    pub fn known(&self) -> Vec<Arc<Namespace>> {
        match self {
            Namespaces::File(file) => file.all(),
            Namespaces::WatchedNamespaces(cluster) => cluster.by_label.cache.all(),
        }
    }

    /// The state of the caches, for metrics. A file is always fresh and has no age.
    pub fn cache_state(&self) -> CacheState {
        let now = Instant::now();
        let age = |cache: &Cache| cache.age(now);
        CacheState {
            namespaces: match self {
                Namespaces::File(file) => file.len(),
                Namespaces::WatchedNamespaces(_) => self.caches().map(Cache::len).sum(),
            },
            is_fresh: self.caches().all(|cache| cache.is_fresh(now)),
            // Absent until each was listed.
            age: self
                .caches()
                .map(age)
                .reduce(|one, other| Some(one?.max(other?)))
                .flatten(),
        }
    }

    fn caches(&self) -> impl Iterator<Item = &Cache> {
        let cluster = match self {
            Namespaces::File(_) => None,
            Namespaces::WatchedNamespaces(cluster) => Some(cluster),
        };
        let watched = cluster
            .into_iter()
            .flat_map(|cluster| std::iter::once(&cluster.by_label).chain(&cluster.by_rules));
        watched.map(|watched| &*watched.cache)
    }
}

impl WatchedNamespaces {
    async fn get(
        &self,
        name: &str,
        called_by: CalledBy,
        peer: Peer,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        let since = Instant::now();
        let (own, other) = match (called_by, &self.by_rules) {
            (CalledBy::Label, by_rules) => (&self.by_label, by_rules.as_ref()),
            (CalledBy::Rules, Some(by_rules)) => (by_rules, Some(&self.by_label)),
            (CalledBy::Rules, None) => (&self.by_label, None),
        };
        if let Some(namespace) = own.cache.get(name, since) {
            self.look_ups.of(LookUp::Hit).inc();
            return Ok(namespace);
        }
        // If it is in the other cache, it was just relabelled, or the webhooks of rules were
        // registered without their path: to wait would delay each of their reviews.
        let may_be_shown = other.is_none_or(|other| other.cache.get(name, since).is_none());
        if may_be_shown
            && let Ok(_place) = self.waiting.try_acquire()
            && let Some(namespace) = own.cache.await_shown(name, within).await
        {
            self.look_ups.of(LookUp::Awaited).inc();
            return Ok(namespace);
        }
        let asked = Instant::now();
        let left = within.saturating_sub(asked - since);
        let found = self.live.get(name, peer, left).await;
        let found = found.and_then(|found| self.learn(found, (own, other), asked));
        let outcome = match found {
            Ok(_) => LookUp::Live,
            Err(Unavailable::NotFound | Unavailable::NotInFile) => LookUp::NotFound,
            Err(Unavailable::TimedOut) => LookUp::TimedOut,
            Err(Unavailable::Failed | Unavailable::Outdated) => LookUp::Failed,
            Err(Unavailable::Busy) => LookUp::Busy,
        };
        self.look_ups.of(outcome).inc();
        found
    }

    /// Keeps what was found by a look-up that was sent at `asked` or later, and returns the
    /// newest that is known. The other cache learns that a namespace moved away from it.
    fn learn(
        &self,
        found: Found,
        (own, other): (&Watched, Option<&Watched>),
        asked: Instant,
    ) -> Result<Arc<Namespace>, Unavailable> {
        if let Some(other) = other {
            other.learn(&found, asked);
        }
        match own.learn(&found, asked) {
            Learning::Newest => Ok(found.namespace),
            Learning::Superseded(namespace) => Ok(namespace),
            Learning::Outdated => {
                self.live.warn_of_outdated(&found.namespace.name);
                Err(Unavailable::Outdated)
            }
        }
    }
}
