//! Known labels and annotations: ten thousand namespaces often have only a few different
//! sets.

use std::collections::HashSet;
use std::sync::Arc;

use admission::namespace::{Namespace, Pairs};

/// Known labels and annotations, for namespaces to share.
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
    use super::*;

    fn namespace(name: &str, profile: &str) -> Namespace {
        let profile = ("podseal.io/profile".to_owned(), profile.to_owned());
        Namespace::new(name, [profile], [])
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
