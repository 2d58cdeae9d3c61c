//! The namespaces of a selection, as the watch last saw them, and when they were last
//! confirmed; and what look-ups found before the watch showed it.
//!
//! A lock instead of a replaced snapshot: it is held for one look-up or one change,
//! never across an await, and the cost of a change does not depend on the number of
//! namespaces.

use std::collections::HashMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::arrivals::{Arrivals, SHOWN_WITHIN};
use super::freshness::Freshness;
use super::learned::{Found, Known, Learned, Newer};
use super::version::Version;
use admission::namespace::Namespace;

/// Namespaces by name.
pub(super) type NamespacesByName = HashMap<Box<str>, Arc<Namespace>>;

/// What the watch writes and reviews read.
#[derive(Debug, Default)]
pub(super) struct Cache {
    state: RwLock<CacheContents>,
    arrivals: Arrivals,
    synced: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct CacheContents {
    namespaces: NamespacesByName,
    /// All changes up to this version are included.
    version: Option<Version>,
    /// What is newer.
    learned: Learned,
    freshness: Freshness,
}

/// What is known after a look-up.
#[derive(Debug, PartialEq)]
pub(super) enum Learning {
    /// Nothing newer than what it found.
    Newest,
    /// This is newer.
    Superseded(Arc<Namespace>),
    /// The namespace has changed since, and is no longer as it was found.
    Outdated,
}

impl CacheContents {
    fn get(&self, name: &str, now: Instant) -> Option<Arc<Namespace>> {
        if !self.freshness.is_fresh(now) {
            return None;
        }
        match self.learned.get(name, now) {
            Known::Newer(namespace) => Some(namespace),
            Known::Outdated => None,
            Known::Nothing => self.namespaces.get(name).cloned(),
        }
    }

    /// All changes up to `version` are included.
    fn reach(&mut self, version: Option<Version>) {
        self.version = version;
        self.learned.forget_until(version);
    }
}

impl Cache {
    /// The namespace `name`, if it is cached and fresh at `now`.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Arc<Namespace>> {
        self.read().get(name, now)
    }

    /// Waits a little for the namespace `name`, if the watch may still show it.
    pub(super) async fn await_shown(&self, name: &str, within: Duration) -> Option<Arc<Namespace>> {
        let arrival = self.arrivals.of(name);
        // It may have been shown before the place was taken.
        let now = Instant::now();
        let cached = self.get(name, now);
        if cached.is_some() || !self.is_fresh(now) {
            return cached;
        }
        arrival.within(within.min(SHOWN_WITHIN)).await
    }

    /// Keeps what a look-up found, which was sent at `as_of` or later, until the watch
    /// shows it. `covered` says whether the selection covers it.
    pub(super) fn learn(&self, found: &Found, covered: bool, as_of: Instant) -> Learning {
        let namespace = &found.namespace;
        let Some(version) = found.version else {
            return Learning::Newest;
        };
        let now = Instant::now();
        let mut state = self.write();
        if state.version.is_none_or(|reached| version <= reached) {
            // The watch was there: what it shows of this name is as new, or newer.
            state.learned.give_way(&namespace.name, now);
            let is_contradicted =
                covered && state.version.is_some() && state.freshness.is_fresh(now);
            return match state.get(&namespace.name, now) {
                Some(shown) => Learning::Superseded(shown),
                None if is_contradicted => Learning::Outdated,
                None => Learning::Newest,
            };
        }
        let is_known =
            state.namespaces.contains_key(&*namespace.name) || state.learned.knows(&namespace.name);
        if !covered && !is_known {
            return Learning::Newest;
        }
        let newer = Newer {
            namespace: covered.then(|| Arc::clone(namespace)),
            version,
            as_of,
        };
        match state.learned.keep(&namespace.name, newer, now) {
            Err(Known::Newer(newest)) => return Learning::Superseded(newest),
            Err(_) => return Learning::Outdated,
            Ok(()) => drop(state),
        }
        if covered {
            self.arrivals.show(namespace);
        }
        Learning::Newest
    }

    /// All cached namespaces, fresh or not.
    pub(super) fn all(&self) -> Vec<Arc<Namespace>> {
        self.read().namespaces.values().cloned().collect()
    }

    /// Replaces all namespaces with a list of `version`, as of `as_of` or later.
    pub(super) fn replace(
        &self,
        namespaces: NamespacesByName,
        version: Option<Version>,
        as_of: Instant,
    ) {
        let mut state = self.write();
        let old = std::mem::replace(&mut state.namespaces, namespaces);
        state.reach(version);
        state.freshness = Freshness::confirmed_at(as_of);
        drop(state);
        // Without the lock: dropping thousands takes time.
        drop(old);
        self.synced.send_replace(true);
    }

    /// Adds or updates a namespace, by a change of `version`.
    pub(super) fn insert(&self, namespace: Namespace, version: Option<Version>) {
        let mut state = self.write();
        state.reach(version);
        let name: Box<str> = namespace.name.as_str().into();
        state.namespaces.insert(name.clone(), Arc::new(namespace));
        // Not what was inserted: a look-up may have found something newer.
        let shown = state.get(&name, Instant::now());
        drop(state);
        if let Some(shown) = shown {
            self.arrivals.show(&shown);
        }
    }

    /// Removes a namespace that was deleted, or that the selection no longer covers, by a
    /// change of `version`.
    pub(super) fn remove(&self, name: &str, version: Option<Version>) {
        let mut state = self.write();
        state.reach(version);
        state.namespaces.remove(name);
    }

    /// Notes that there is no other change up to `version`.
    pub(super) fn reach(&self, version: Option<Version>) {
        self.write().reach(version);
    }

    /// Confirms that all changes up to `as_of` are included.
    pub(super) fn confirm(&self, as_of: Instant) {
        self.write().freshness.confirm(as_of);
    }

    /// Stops answering until the next [`Cache::replace`], because the watch failed.
    pub(super) fn mark_stale(&self) {
        self.write().freshness.mark_stale();
        self.arrivals.end();
    }

    /// Whether there has been a complete list.
    pub(super) fn synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits for the first complete list.
    pub(super) async fn wait_synced(&self) {
        let mut synced = self.synced.subscribe();
        let list = synced.wait_for(|synced| *synced).await;
        list.expect("the sender is ours");
    }

    /// Whether the cache answers at `now`.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.read().freshness.is_fresh(now)
    }

    /// The number of cached namespaces.
    pub(super) fn len(&self) -> usize {
        self.read().namespaces.len()
    }

    /// The time since the last confirmation.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.read().freshness.age(now)
    }

    fn read(&self) -> RwLockReadGuard<'_, CacheContents> {
        self.state.read().expect("no holder panics")
    }

    fn write(&self) -> RwLockWriteGuard<'_, CacheContents> {
        self.state.write().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests;
