//! Gets namespaces from the cluster or from a file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::cache::Cache;
use super::file::NamespaceFile;
use super::freshness::FRESH_FOR;
use super::look_up::{LOOK_UP_TIMEOUT, LiveLookUps};
use super::unavailable::Unavailable;
use super::watch::Watch;
use crate::fairness::peer::Peer;
use crate::metrics::namespaces::{CacheState, LookUp, LookUps};
use admission::namespace::Namespace;

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
    cache: Arc<Cache>,
    live: Arc<LiveLookUps>,
    look_ups: LookUps,
    _watch: AbortOnDropHandle<()>,
}

impl Namespaces {
    /// The namespaces of the cluster of `config`, watched by a task of the current
    /// runtime. Live look-ups also keep labels with these `keys`, which namespace rules
    /// require. At most `most_waiting` reviews wait for live look-ups. `look_ups` counts
    /// their results.
    ///
    /// # Errors
    /// When no client can be created from `config`.
    pub fn from_cluster(
        config: kube::Config,
        keys: BTreeSet<String>,
        most_waiting: usize,
        look_ups: LookUps,
    ) -> kube::Result<Namespaces> {
        let cache = Arc::<Cache>::default();
        // Two clients, because their timeouts differ.
        let watch = Watch::new(client(config.clone(), FRESH_FOR)?, Arc::clone(&cache));
        // Longer than a look-up's own timeout, which has the better error message.
        let client = client(config, LOOK_UP_TIMEOUT + LOOK_UP_TIMEOUT / 2)?;
        Ok(Namespaces::WatchedNamespaces(Arc::new(WatchedNamespaces {
            cache,
            live: Arc::new(LiveLookUps::new(client, keys, most_waiting)),
            look_ups,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
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
        peer: Peer,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        match self {
            Namespaces::File(file) => file.get(name).ok_or(Unavailable::NotInFile),
            Namespaces::WatchedNamespaces(cluster) => cluster.get(name, peer, within).await,
        }
    }

    /// Whether there has been a complete list. This stays true if the API server
    /// becomes unavailable: live look-ups then fail by themselves.
    pub fn synced(&self) -> bool {
        self.cache().is_none_or(Cache::synced)
    }

    /// Waits for the first complete list.
    pub async fn wait_synced(&self) {
        if let Some(cache) = self.cache() {
            cache.wait_synced().await;
        }
    }

    /// The namespaces that are known without a look-up.
    pub fn known(&self) -> Vec<Arc<Namespace>> {
        match self {
            Namespaces::File(file) => file.all(),
            Namespaces::WatchedNamespaces(cluster) => cluster.cache.all(),
        }
    }

    /// The state of the cache, for metrics. A file is always fresh and has no age.
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
        // The API server calls because the namespace opts in. If the cached one does
        // not, the cache is behind.
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

/// A client whose connections close after `patience` without data, even if idle.
/// Otherwise the pool would return dead connections for a minute and a half, one
/// look-up after another.
fn client(mut config: kube::Config, patience: Duration) -> kube::Result<kube::Client> {
    config.connect_timeout = Some(patience);
    config.read_timeout = Some(patience);
    config.write_timeout = Some(patience);
    config.reset_reader_on_write = true;
    // The client of the review retries, and the watch has its own backoff.
    config.default_retry = false;
    kube::Client::try_from(config)
}
