//! Where a namespace's labels come from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::cache::{Cache, FRESH};
use super::file::NamespaceFile;
use super::look_up::{LOOK_UP, Live, LookUp, LookUps};
use super::watch::Watch;
use crate::fairness::peer::Peer;
use admission::policy::Namespace;

/// The one thing a review waits for.
#[derive(Clone)]
pub enum Namespaces {
    /// From a file, read once: for trials, the demo and `podseal review`.
    File(Arc<NamespaceFile>),
    /// From the API server: a watch, and a GET where the watch cannot explain
    /// the call or may be behind.
    Cluster(Arc<Cluster>),
}

/// The API server's namespaces.
pub struct Cluster {
    cache: Arc<Cache>,
    live: Arc<Live>,
    look_ups: LookUps,
    _watch: AbortOnDropHandle<()>,
}

/// Why a namespace's labels cannot be known. Shown to the job's author, so it
/// names no host and quotes no error of the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Not in the file.
    #[error("it is not in the file that --namespaces names")]
    NotInFile,
    /// The API server says there is none.
    #[error("the API server knows no such namespace")]
    NotFound,
    /// The API server did not answer in time.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// The API server could not be asked, or refused.
    #[error("the API server could not be asked")]
    Failed,
    /// Too many are being asked for already.
    #[error("too many namespaces are being asked for at once")]
    Busy,
}

impl Namespaces {
    /// The namespaces of the cluster that `config` leads to, watched from now on
    /// by a task of the current runtime. Of one that does not opt in, and so is asked
    /// for, the labels of these `keys` are kept besides, since default rules ask
    /// for them. At most `most_waiting` reviews wait for such an answer.
    ///
    /// # Errors
    /// When `config` is none that a client can be made of.
    pub fn from_cluster(
        config: kube::Config,
        keys: BTreeSet<String>,
        most_waiting: usize,
    ) -> kube::Result<Namespaces> {
        let cache = Arc::<Cache>::default();
        // A client each, since they are patient for different times.
        let watch = Watch::new(client(config.clone(), FRESH)?, Arc::clone(&cache));
        // Longer than a look-up, whose own end is the better reason to tell.
        let client = client(config, LOOK_UP + LOOK_UP / 2)?;
        Ok(Namespaces::Cluster(Arc::new(Cluster {
            cache,
            live: Arc::new(Live::new(client, keys, most_waiting)),
            look_ups: LookUps::default(),
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.keep())),
        })))
    }

    /// The namespace called `name`, for a review that `peer` sent, if anybody says so
    /// `within` this time.
    ///
    /// # Errors
    /// When nobody could say. The caller denies then: admitting a pod because
    /// a look-up failed is how such webhooks get bypassed.
    pub async fn get(
        &self,
        name: &str,
        peer: Peer,
        within: Duration,
    ) -> Result<Arc<Namespace>, Unavailable> {
        match self {
            Namespaces::File(file) => file.get(name).ok_or(Unavailable::NotInFile),
            Namespaces::Cluster(cluster) => cluster.get(name, peer, within).await,
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
            Namespaces::Cluster(cluster) => cluster.cache.all(),
        }
    }

    /// How many namespaces are known without asking.
    pub fn cached(&self) -> usize {
        match self {
            Namespaces::File(file) => file.len(),
            Namespaces::Cluster(cluster) => cluster.cache.len(),
        }
    }

    /// Whether what is known without asking is used. While it is not, every
    /// review asks the API server.
    pub fn fresh(&self) -> bool {
        self.cache()
            .is_none_or(|cache| cache.is_fresh(Instant::now()))
    }

    /// How long ago the namespaces known were certainly all there is. None
    /// before the first list, and for a file, which does not age.
    pub fn age(&self) -> Option<Duration> {
        self.cache()?.age(Instant::now())
    }

    /// How look-ups ended. None for a file.
    pub fn look_ups(&self) -> Option<&LookUps> {
        match self {
            Namespaces::File(_) => None,
            Namespaces::Cluster(cluster) => Some(&cluster.look_ups),
        }
    }

    fn cache(&self) -> Option<&Cache> {
        match self {
            Namespaces::File(_) => None,
            Namespaces::Cluster(cluster) => Some(&cluster.cache),
        }
    }
}

impl Cluster {
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
            self.look_ups.add(LookUp::Hit);
            return Ok(namespace);
        }
        let found = self.live.get(name, peer, within).await;
        self.look_ups.add(match found {
            Ok(_) => LookUp::Live,
            Err(Unavailable::NotFound | Unavailable::NotInFile) => LookUp::NotFound,
            Err(Unavailable::TimedOut) => LookUp::TimedOut,
            Err(Unavailable::Failed) => LookUp::Failed,
            Err(Unavailable::Busy) => LookUp::Busy,
        });
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
    // Whoever sent the review asks again, and the watch has a pace of its own.
    config.default_retry = false;
    kube::Client::try_from(config)
}
