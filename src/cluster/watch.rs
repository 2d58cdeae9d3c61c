//! The watch cache of namespaces.
//!
//! Only namespaces that carry the profile label are asked for, and of those
//! only podseal's own labels are kept: a namespace without the label cannot
//! explain a call and is looked up live anyway. Readers take a snapshot without
//! a lock; the watch replaces it as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::StreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use super::namespaces::namespace_of;
use crate::admission::policy::{Namespace, PROFILE};

type Snapshot = HashMap<String, Arc<Namespace>>;

/// The namespaces that opt in, as the watch last saw them.
#[derive(Clone)]
pub(super) struct Watched {
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Whether a first list is complete. Its end tells the watch that nobody
    /// reads the snapshot any more.
    synced: watch::Receiver<bool>,
}

impl Watched {
    /// Starts watching, in a task that ends with the last [`Watched`].
    pub(super) fn start(api: Api<PartialObjectMeta<core::Namespace>>) -> Watched {
        let snapshot = Arc::new(ArcSwap::default());
        let (listed, synced) = watch::channel(false);
        tokio::spawn(follow(api, Arc::clone(&snapshot), listed));
        Watched { snapshot, synced }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Namespace>> {
        self.snapshot.load().get(name).cloned()
    }

    pub(super) fn synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(super) async fn wait_synced(&self) {
        let mut synced = self.synced.clone();
        // The watch ends with its readers, of which this is one.
        let _ = synced.wait_for(|synced| *synced).await;
    }
}

async fn follow(
    api: Api<PartialObjectMeta<core::Namespace>>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    synced: watch::Sender<bool>,
) {
    let config = watcher::Config::default().labels(PROFILE);
    let mut events = kube::runtime::watcher(api, config)
        .default_backoff()
        .boxed();
    let mut listed = Snapshot::new();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = synced.closed() => return,
        };
        match event {
            Some(Ok(Event::Init)) => listed.clear(),
            Some(Ok(Event::InitApply(object))) => insert(&mut listed, namespace_of(object)),
            Some(Ok(Event::InitDone)) => {
                let namespaces = std::mem::take(&mut listed);
                tracing::info!(
                    namespaces = namespaces.len(),
                    "listed the namespaces that opt in"
                );
                snapshot.store(Arc::new(namespaces));
                synced.send_replace(true);
            }
            Some(Ok(Event::Apply(object))) => {
                let mut next = Snapshot::clone(&snapshot.load());
                insert(&mut next, namespace_of(object));
                snapshot.store(Arc::new(next));
            }
            Some(Ok(Event::Delete(object))) => {
                let mut next = Snapshot::clone(&snapshot.load());
                next.remove(&namespace_of(object).name);
                snapshot.store(Arc::new(next));
            }
            Some(Err(error)) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(error, "the watch of namespaces broke; trying again");
            }
            None => return,
        }
    }
}

fn insert(namespaces: &mut Snapshot, namespace: Namespace) {
    namespaces.insert(namespace.name.clone(), Arc::new(namespace));
}
