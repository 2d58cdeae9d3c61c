//! Where a namespace's labels come from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::cache::{Cache, FRESH_FOR};
use super::file::NamespaceFile;
use super::look_up::{LOOK_UP_TIMEOUT, LiveLookUps};
use super::unavailable::Unavailable;
use super::watch::Watch;
use crate::fairness::peer::Peer;
use crate::metrics::namespaces::{CacheState, LookUp, LookUps};
use admission::namespace::Namespace;

/// The one thing a review waits for.
#[derive(Clone)]
pub enum Namespaces {
    /// From a file, read once: for trials, the demo and `podseal review`.
    File(Arc<NamespaceFile>),
    /// From the API server: a watch, and a GET where the watch cannot explain
    /// the call or may be behind.
    WatchedNamespaces(Arc<WatchedNamespaces>),
}

/// The API server's namespaces.
pub struct WatchedNamespaces {
    cache: Arc<Cache>,
    live: Arc<LiveLookUps>,
    look_ups: LookUps,
    _watch: AbortOnDropHandle<()>,
}

impl Namespaces {
    /// The namespaces of the cluster that `config` leads to, watched from now on
    /// by a task of the current runtime. Of one that does not opt in, and so is asked
    /// for, the labels of these `keys` are kept besides, since namespace rules ask
    /// for them. At most `most_waiting` reviews wait for such an answer. How look-ups
    /// end is counted in `look_ups`.
    ///
    /// # Errors
    /// When `config` is none that a client can be made of.
    pub fn from_cluster(
        config: kube::Config,
        keys: BTreeSet<String>,
        most_waiting: usize,
        look_ups: LookUps,
    ) -> kube::Result<Namespaces> {
        let cache = Arc::<Cache>::default();
        // A client each, since they are patient for different times.
        let watch = Watch::new(client(config.clone(), FRESH_FOR)?, Arc::clone(&cache));
        // Longer than a look-up, whose own timeout is the better reason to give.
        let client = client(config, LOOK_UP_TIMEOUT + LOOK_UP_TIMEOUT / 2)?;
        Ok(Namespaces::WatchedNamespaces(Arc::new(WatchedNamespaces {
            cache,
            live: Arc::new(LiveLookUps::new(client, keys, most_waiting)),
            look_ups,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        })))
    }

    /// The namespace called `name`, for a review that `peer` sent, if it is known
    /// `within` this time.
    ///
    /// # Errors
    /// When it could not be looked up. The caller denies then: admitting a pod because
    /// a look-up failed is how such webhooks get bypassed.
    pub async fn get(
        &self,
        name: &str,
        peer: Peer,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        match self {
            Namespaces::File(file) => file.get(name).ok_or(Unavailable::NotInFile),
            Namespaces::WatchedNamespaces(cluster) => cluster.get(name, peer, within).await,
        }
    }

    /// Whether the namespaces were complete once. An API server that goes away
    /// later changes nothing about it: look-ups then say what holds.
    pub fn synced(&self) -> bool {
        self.cache().is_none_or(Cache::synced)
    }

    /// Waits until they are.
    pub async fn wait_synced(&self) {
        if let Some(cache) = self.cache() {
            cache.wait_synced().await;
        }
    }

    /// The namespaces that are known without asking.
    pub fn known(&self) -> Vec<Arc<Namespace>> {
        match self {
            Namespaces::File(file) => file.all(),
            Namespaces::WatchedNamespaces(cluster) => cluster.cache.all(),
        }
    }

    /// What metrics show of the cache. A file is always fresh and has no age.
    pub fn cache_state(&self) -> CacheState {
        let now = Instant::now();
        CacheState {
            namespaces: match self {
                Namespaces::File(file) => file.len(),
                Namespaces::WatchedNamespaces(cluster) => cluster.cache.len(),
            },
            is_fresh: self.cache().is_none_or(|cache| cache.is_fresh(now)),
            age: self.cache().and_then(|cache| cache.age(now)),
        }
    }

    fn cache(&self) -> Option<&Cache> {
        match self {
            Namespaces::File(_) => None,
            Namespaces::WatchedNamespaces(cluster) => Some(&cluster.cache),
        }
    }
}

impl WatchedNamespaces {
    async fn get(
        &self,
        name: &str,
        peer: Peer,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        // The API server called because in its eyes the namespace opts in. A
        // cache that says otherwise is behind.
        let cached = self.cache.get(name, Instant::now());
        if let Some(namespace) = cached.filter(|namespace| namespace.opts_in()) {
            self.look_ups.of(LookUp::Hit).inc();
            return Ok(namespace);
        }
        let found = self.live.get(name, peer, within).await;
        let outcome = match found {
            Ok(_) => LookUp::Live,
            Err(Unavailable::NotFound | Unavailable::NotInFile) => LookUp::NotFound,
            Err(Unavailable::TimedOut) => LookUp::TimedOut,
            Err(Unavailable::Failed) => LookUp::Failed,
            Err(Unavailable::Busy) => LookUp::Busy,
        };
        self.look_ups.of(outcome).inc();
        found
    }
}

/// A client whose connections end when nothing is read from them for as long as
/// `patience`, idle ones too. The pool would otherwise hand out connections
/// that have been dead for a minute and a half, one look-up after the other.
fn client(mut config: kube::Config, patience: Duration) -> kube::Result<kube::Client> {
    config.connect_timeout = Some(patience);
    config.read_timeout = Some(patience);
    config.write_timeout = Some(patience);
    config.reset_reader_on_write = true;
    // The client that sent the review tries again, and the watch has a backoff of
    // its own.
    config.default_retry = false;
    kube::Client::try_from(config)
}
