//! What the namespace's labels say.

use std::collections::BTreeMap;

use super::profile::{Profile, Profiles};

/// The namespace label that opts in, and names the profile.
pub const PROFILE: &str = "podseal.io/profile";

/// A namespace: its name, and the labels that podseal reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.name`
    pub name: String,
    /// Those of `metadata.labels` whose key begins with `podseal.io/`.
    pub labels: BTreeMap<String, String>,
}

impl Namespace {
    /// A namespace of which only podseal's own labels are kept, so that a
    /// cache of thousands stays small.
    pub fn new<I>(name: impl Into<String>, labels: I) -> Namespace
    where
        I: IntoIterator<Item = (String, String)>,
    {
        let ours = |(key, _): &(String, String)| key.starts_with("podseal.io/");
        Namespace {
            name: name.into(),
            labels: labels.into_iter().filter(ours).collect(),
        }
    }

    /// Whether the namespace opts in. A cached namespace that does not cannot
    /// explain why the API server called, and so must be looked up again.
    pub fn opts_in(&self) -> bool {
        self.labels.contains_key(PROFILE)
    }
}

/// What a namespace asks of podseal.
#[derive(Debug)]
pub enum Policy<'a> {
    /// Nothing: the namespace carries no profile label.
    NotOptedIn,
    /// This profile for its job pods.
    Profile(&'a Profile),
    /// A profile that does not exist.
    UnknownProfile(&'a str),
}

impl<'a> Policy<'a> {
    /// Reads the namespace's labels.
    pub fn from_namespace(namespace: &'a Namespace, profiles: &'a Profiles) -> Policy<'a> {
        match namespace.labels.get(PROFILE) {
            None => Policy::NotOptedIn,
            Some(name) => match profiles.get(name) {
                Some(profile) => Policy::Profile(profile),
                None => Policy::UnknownProfile(name),
            },
        }
    }
}
