//! The namespaces that opt in, as the watch last saw them, and when they were last
//! confirmed.
//!
//! A lock instead of a replaced snapshot: it is held for one look-up or one change,
//! never across an await, and the cost of a change does not depend on the number of
//! namespaces.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::freshness::Freshness;
use admission::namespace::{Namespace, Pairs};

/// Namespaces by name.
pub(super) type NamespacesByName = HashMap<Box<str>, Arc<Namespace>>;

/// What the watch writes and reviews read.
#[derive(Debug, Default)]
pub(super) struct Cache {
    state: RwLock<CacheContents>,
    synced: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct CacheContents {
    namespaces: NamespacesByName,
    freshness: Freshness,
}

impl Cache {
    /// The namespace `name`, if it is cached and fresh at `now`.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Arc<Namespace>> {
        let state = self.read();
        let fresh = state.freshness.is_fresh(now).then_some(&state.namespaces)?;
        fresh.get(name).cloned()
    }

    /// All cached namespaces, fresh or not.
    pub(super) fn all(&self) -> Vec<Arc<Namespace>> {
        self.read().namespaces.values().cloned().collect()
    }

    /// Replaces all namespaces with a list as of `as_of` or later.
    pub(super) fn replace(&self, namespaces: NamespacesByName, as_of: Instant) {
        let mut state = self.write();
        let old = std::mem::replace(&mut state.namespaces, namespaces);
        state.freshness = Freshness::confirmed_at(as_of);
        drop(state);
        // Without the lock: dropping thousands takes time.
        drop(old);
        self.synced.send_replace(true);
    }

    /// Adds or updates a namespace.
    pub(super) fn insert(&self, namespace: Namespace) {
        let name = namespace.name.as_str().into();
        self.write().namespaces.insert(name, Arc::new(namespace));
    }

    /// Removes a namespace that was deleted or no longer opts in.
    pub(super) fn remove(&self, name: &str) {
        self.write().namespaces.remove(name);
    }

    /// Confirms that all changes up to `as_of` are included.
    pub(super) fn confirm(&self, as_of: Instant) {
        self.write().freshness.confirm(as_of);
    }

    /// Stops answering until the next [`Cache::replace`], because the watch failed.
    pub(super) fn mark_stale(&self) {
        self.write().freshness.mark_stale();
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

/// Known labels and annotations, for namespaces to share: ten thousand namespaces
/// often have only a few different sets.
#[derive(Debug, Default)]
pub(super) struct SharedPairs {
    pairs: HashSet<Pairs>,
    /// The number of sets at which unused ones are dropped.
    limit: usize,
}

impl SharedPairs {
    /// The namespace, with known sets instead of equal ones of its own.
    pub(super) fn share(&mut self, mut namespace: Namespace) -> Namespace {
        for pairs in [&mut namespace.labels, &mut namespace.annotations] {
            if let Some(known) = self.pairs.get(pairs) {
                *pairs = Arc::clone(known);
                continue;
            }
            if self.pairs.len() >= self.limit {
                self.pairs.retain(|pairs| Arc::strong_count(pairs) > 1);
                self.limit = self.pairs.len() * 2 + 64;
            }
            self.pairs.insert(Arc::clone(pairs));
        }
        namespace
    }
}

#[cfg(test)]
mod tests {
    use super::super::freshness::FRESH_FOR;
    use super::*;

    fn namespace(name: &str, profile: &str) -> Namespace {
        let profile = ("podseal.io/profile".to_owned(), profile.to_owned());
        Namespace::new(name, [profile], [])
    }

    fn cache_of(namespace: Namespace, as_of: Instant) -> Cache {
        let cache = Cache::default();
        let name = namespace.name.as_str().into();
        cache.replace(NamespacesByName::from([(name, Arc::new(namespace))]), as_of);
        cache
    }

    #[test]
    fn answers_nothing_before_the_first_list() {
        let (cache, now) = (Cache::default(), Instant::now());
        cache.insert(namespace("ci", "rootless"));
        cache.confirm(now);
        assert_eq!(cache.get("ci", now), None);
        assert!(!cache.synced() && !cache.is_fresh(now));
    }

    #[test]
    fn answers_only_within_the_bound_since_the_last_proof() {
        let start = Instant::now();
        let cache = cache_of(namespace("ci", "rootless"), start);
        let last = start + FRESH_FOR - Duration::from_millis(1);
        assert!(cache.get("ci", last).is_some());
        assert_eq!(cache.get("ci", start + FRESH_FOR), None);
        assert_eq!(cache.age(start + FRESH_FOR), Some(FRESH_FOR));
        cache.confirm(start + FRESH_FOR);
        assert!(cache.get("ci", start + FRESH_FOR).is_some());
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_proof_of_the_past_makes_nothing_younger_or_older() {
        let start = Instant::now();
        let cache = cache_of(namespace("ci", "rootless"), start + FRESH_FOR);
        cache.confirm(start);
        assert_eq!(cache.age(start + FRESH_FOR), Some(Duration::ZERO));
    }

    #[test]
    fn a_broken_watch_is_not_trusted_again_before_the_next_list() {
        let start = Instant::now();
        let cache = cache_of(namespace("ci", "rootless"), start);
        cache.mark_stale();
        cache.confirm(start);
        assert_eq!(cache.get("ci", start), None);
        assert!(cache.synced(), "what was synced once stays so");
        cache.replace(NamespacesByName::new(), start);
        assert!(cache.is_fresh(start));
        assert_eq!(cache.get("ci", start), None, "it is gone meanwhile");
    }

    #[test]
    fn changes_are_seen_one_by_one() {
        let start = Instant::now();
        let cache = cache_of(namespace("ci", "rootless"), start);
        cache.insert(namespace("ci", "userns"));
        let found = cache.get("ci", start).expect("it is there");
        assert_eq!(found.labels["podseal.io/profile"], "userns");
        cache.remove("ci");
        assert_eq!(cache.get("ci", start), None);
    }

    #[test]
    fn namespaces_that_say_the_same_share_it_and_nothing_unused_is_kept() {
        let mut shared = SharedPairs::default();
        let (a, b) = (namespace("a", "rootless"), namespace("b", "rootless"));
        let (a, b) = (shared.share(a), shared.share(b));
        assert!(Arc::ptr_eq(&a.labels, &b.labels));
        for number in 0..10_000 {
            shared.share(namespace("c", &number.to_string()));
        }
        assert!(shared.pairs.len() < 200, "{}", shared.pairs.len());
        let again = shared.share(namespace("a", "rootless"));
        assert!(Arc::ptr_eq(&a.labels, &again.labels));
    }
}
