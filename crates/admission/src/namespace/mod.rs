//! What a namespace says: its labels, annotations, or the rule for namespaces
//! without labels.

pub mod label;
pub mod policy;
pub mod rules;
pub mod unknown_keys;
pub mod unnamed_runners;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::label::{LEVEL, Label, MODE, PROFILE};

/// The namespace annotation that names who creates job pods. Not a label: a
/// user's name is no label value.
pub const RUNNER: &str = "podseal.io/runner";

/// How the names of namespaces begin that are the cluster's own. The chart has no
/// API server call podseal for them, whatever their labels.
pub const CLUSTERS_OWN: [&str; 2] = ["kube-", "openshift-"];
/// What is to be told where such a namespace opts in.
pub const NEVER_CALLED: &str =
    "podseal's webhooks are never called for namespaces that begin with kube- or openshift-";

/// Labels, or annotations. Shared, since thousands of namespaces say the same.
pub type Pairs = Arc<BTreeMap<String, String>>;

/// A namespace: its name, and what podseal reads of it.
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

    /// One of which the labels of these keys are kept as well, since default
    /// rules ask for them.
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

    /// Whether the namespace opts in. A cached namespace that does not cannot
    /// explain why the API server called, and so must be looked up again.
    pub fn opts_in(&self) -> bool {
        self.labels.contains_key(PROFILE)
    }
}

/// Whether a namespace of this name is the cluster's own.
pub fn is_clusters_own(name: &str) -> bool {
    CLUSTERS_OWN.iter().any(|begin| name.starts_with(begin))
}

/// What becomes of a pod that may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is rejected.
    Enforce,
    /// It passes, and its creator is warned.
    Warn,
    /// It passes unchanged, and the record says what would have happened.
    Audit,
}

impl Mode {
    /// Every mode, the strictest first.
    pub const ALL: [Mode; 3] = [Mode::Enforce, Mode::Warn, Mode::Audit];

    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Warn => "warn",
            Mode::Audit => "audit",
        }
    }
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
        let told: Vec<_> = NEVER_CALLED.split(' ').collect();
        assert!(CLUSTERS_OWN.iter().all(|begin| told.contains(begin)));
    }
}
