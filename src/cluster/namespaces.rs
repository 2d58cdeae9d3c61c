//! Where a namespace's labels come from.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, PartialObjectMeta};

use super::file::NamespaceFile;
use super::watch::Watched;
use crate::admission::policy::Namespace;

/// How long a live look-up may take. The webhook's own `timeoutSeconds` is
/// longer, so the denial that follows still reaches the API server.
const LOOK_UP: Duration = Duration::from_secs(2);

/// The one thing a review waits for.
#[derive(Clone)]
pub enum Namespaces {
    /// From a file, read once: for trials, the demo and `podseal review`.
    File(Arc<NamespaceFile>),
    /// From the API server: a watch, and a GET where the watch cannot explain
    /// the call.
    Cluster(Box<Cluster>),
}

/// The API server's namespaces.
#[derive(Clone)]
pub struct Cluster {
    api: Api<core::Namespace>,
    watched: Watched,
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
}

impl Namespaces {
    /// The namespaces of the cluster that `client` talks to, watched from now
    /// on by a task of the current runtime.
    pub fn from_cluster(client: kube::Client) -> Namespaces {
        let watched = Watched::start(Api::all(client.clone()));
        Namespaces::Cluster(Box::new(Cluster {
            api: Api::all(client),
            watched,
        }))
    }

    /// The namespace called `name`.
    ///
    /// # Errors
    /// When nobody could say. The caller denies then: admitting a pod because
    /// a look-up failed is how such webhooks get bypassed.
    pub async fn get(&self, name: &str) -> Result<Arc<Namespace>, Unavailable> {
        match self {
            Namespaces::File(file) => file.get(name).ok_or(Unavailable::NotInFile),
            Namespaces::Cluster(cluster) => cluster.get(name).await,
        }
    }

    /// Whether the cache has held all namespaces once; a file always has.
    pub fn synced(&self) -> bool {
        match self {
            Namespaces::File(_) => true,
            Namespaces::Cluster(cluster) => cluster.watched.synced(),
        }
    }

    /// Waits until [`Namespaces::synced`].
    pub async fn wait_synced(&self) {
        match self {
            Namespaces::File(_) => {}
            Namespaces::Cluster(cluster) => cluster.watched.wait_synced().await,
        }
    }
}

impl Cluster {
    async fn get(&self, name: &str) -> Result<Arc<Namespace>, Unavailable> {
        // The API server called because in its eyes the namespace opts in. A
        // cache that says otherwise is behind.
        if let Some(namespace) = self
            .watched
            .get(name)
            .filter(|namespace| namespace.opts_in())
        {
            return Ok(namespace);
        }
        let found = tokio::time::timeout(LOOK_UP, self.api.get_metadata_opt(name)).await;
        match found {
            Ok(Ok(Some(object))) => Ok(Arc::new(namespace_of(object))),
            Ok(Ok(None)) => Err(Unavailable::NotFound),
            Ok(Err(error)) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(namespace = name, error, "cannot look up a namespace");
                Err(Unavailable::Failed)
            }
            Err(_) => {
                tracing::warn!(namespace = name, "cannot look up a namespace: timed out");
                Err(Unavailable::TimedOut)
            }
        }
    }
}

pub(super) fn namespace_of(object: PartialObjectMeta<core::Namespace>) -> Namespace {
    let metadata = object.metadata;
    let name = metadata.name.unwrap_or_default();
    Namespace::new(
        name,
        metadata.labels.unwrap_or_default(),
        metadata.annotations.unwrap_or_default(),
    )
}
