//! What applies to a namespace: its labels and annotations, or a namespace rule.

pub mod label;
pub mod mode;
pub mod policy;
pub mod rules;
pub mod unknown_keys;
pub mod unnamed_runners;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::label::{LEVEL, Label, MODE, PROFILE, STRICT};
pub use self::mode::Mode;

/// The namespace annotation with the users that create job pods. Not a label, since
/// a user's name is not a valid label value.
pub const RUNNER: &str = "podseal.io/runner";

/// The prefixes of the cluster's own namespaces. The chart registers podseal so
/// that the API server never calls it for them, whatever their labels.
pub const CLUSTERS_OWN: [&str; 2] = ["kube-", "openshift-"];
/// The warning for such a namespace that opts in.
pub const NEVER_CALLED: &str =
    "podseal's webhooks are never called for namespaces that begin with kube- or openshift-";

/// Labels, or annotations. Shared, since thousands of namespaces have the same.
pub type Pairs = Arc<BTreeMap<String, String>>;

/// A namespace: its name, and the labels and annotations that podseal reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.name`
    pub name: String,
    /// Those of `metadata.labels` whose key begins with `podseal.io/`.
    pub labels: Pairs,
    /// Those of `metadata.annotations` whose key does.
    pub annotations: Pairs,
}

impl Namespace {
    /// A namespace of which only podseal's own labels and annotations are kept,
    /// so that a cache of thousands stays small.
    pub fn new<L, A>(name: impl Into<String>, labels: L, annotations: A) -> Namespace
    where
        L: IntoIterator<Item = (String, String)>,
        A: IntoIterator<Item = (String, String)>,
    {
        Namespace::keeping(name, labels, annotations, &BTreeSet::new())
    }

    /// The same, with the labels of these keys as well, since namespace rules
    /// match them.
    pub fn keeping<L, A>(
        name: impl Into<String>,
        labels: L,
        annotations: A,
        keys: &BTreeSet<String>,
    ) -> Namespace
    where
        L: IntoIterator<Item = (String, String)>,
        A: IntoIterator<Item = (String, String)>,
    {
        let ours = |(key, _): &(String, String)| Namespace::reads(key);
        let kept = |label: &(String, String)| ours(label) || keys.contains(&label.0);
        Namespace {
            name: name.into(),
            labels: Arc::new(labels.into_iter().filter(kept).collect()),
            annotations: Arc::new(annotations.into_iter().filter(ours).collect()),
        }
    }

    /// Whether a label or annotation of this key is one of podseal's.
    pub fn reads(key: &str) -> bool {
        key.starts_with("podseal.io/")
    }

    /// Whether the namespace opts in. If a cached namespace does not, it does
    /// not explain why the API server called, and is looked up again.
    pub fn opts_in(&self) -> bool {
        self.labels.contains_key(PROFILE)
    }
}

/// Whether a namespace of this name is the cluster's own.
pub fn is_clusters_own(name: &str) -> bool {
    CLUSTERS_OWN.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_the_clusters_own_by_the_beginning_of_its_name() {
        for name in ["kube-system", "kube-", "openshift-ci"] {
            assert!(is_clusters_own(name), "{name}");
        }
        for name in ["kube", "kubernetes", "ci-kube-", "openshift", ""] {
            assert!(!is_clusters_own(name), "{name}");
        }
        let words: Vec<_> = NEVER_CALLED.split(' ').collect();
        assert!(CLUSTERS_OWN.iter().all(|begin| words.contains(begin)));
    }
}
