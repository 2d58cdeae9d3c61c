//! A watch of the namespaces of a selection, and what it fills.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::task::AbortOnDropHandle;

use super::cache::{Cache, Learning};
use super::learned::Found;
use super::selection::Selection;
use super::watch::Watch;

/// The namespaces of a selection.
pub(super) struct Watched {
    selection: Arc<Selection>,
    pub(super) cache: Arc<Cache>,
    _watch: AbortOnDropHandle<()>,
}

impl Watched {
    pub(super) fn start(client: kube::Client, selection: Selection) -> Watched {
        let (selection, cache) = (Arc::new(selection), Arc::<Cache>::default());
        let watch = Watch::new(client, Arc::clone(&selection), Arc::clone(&cache));
        Watched {
            selection,
            cache,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        }
    }

    pub(super) fn learn(&self, found: &Found, asked: Instant) -> Learning {
        let is_covered = !found.is_terminating && self.selection.covers(&found.namespace);
        self.cache.learn(found, is_covered, asked)
    }
}
