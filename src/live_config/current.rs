//! The current configuration. Each review loads it once.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::digest::RulesDigest;
use admission::namespace::policy::Settings;
use admission::namespace::rules::NamespaceRules;
use admission::profile::Profiles;

/// The configuration for all namespaces. Clones share it.
#[derive(Debug, Clone)]
pub struct LiveConfig(Arc<LiveConfigState>);

#[derive(Debug)]
struct LiveConfigState {
    profiles: ArcSwap<Profiles>,
    namespace_rules: NamespaceRules,
    /// The digest of the namespace rules' file, if there is one.
    digest: Option<RulesDigest>,
    require_runner: bool,
    ignore_user_namespaces: bool,
    /// Why the profiles could not be reloaded, if so.
    problem: watch::Sender<Option<String>>,
}

impl LiveConfig {
    /// A configuration whose profiles can be replaced later. `digest` is that of the
    /// namespace rules' file.
    pub fn new(
        profiles: Profiles,
        namespace_rules: NamespaceRules,
        digest: Option<RulesDigest>,
        require_runner: bool,
        ignore_user_namespaces: bool,
    ) -> LiveConfig {
        LiveConfig(Arc::new(LiveConfigState {
            profiles: ArcSwap::from_pointee(profiles),
            namespace_rules,
            digest,
            require_runner,
            ignore_user_namespaces,
            problem: watch::Sender::new(None),
        }))
    }

    /// The built-in profiles, and nothing else.
    pub fn built_in() -> LiveConfig {
        LiveConfig::new(
            Profiles::built_in().clone(),
            NamespaceRules::default(),
            None,
            false,
            false,
        )
    }

    /// The current profiles.
    pub fn profiles(&self) -> Guard<Arc<Profiles>> {
        self.0.profiles.load()
    }

    /// The settings of a review, with the profiles that it loaded.
    pub fn settings<'r>(&'r self, profiles: &'r Profiles) -> Settings<'r> {
        Settings {
            profiles,
            namespace_rules: &self.0.namespace_rules,
            require_runner: self.0.require_runner,
            ignore_user_namespaces: self.0.ignore_user_namespaces,
        }
    }

    /// The rules for namespaces without a label.
    pub fn namespace_rules(&self) -> &NamespaceRules {
        &self.0.namespace_rules
    }

    /// The digest of the namespace rules' file, if there is one.
    pub fn digest(&self) -> Option<&RulesDigest> {
        self.0.digest.as_ref()
    }

    /// Replaces the profiles.
    pub fn replace(&self, profiles: Profiles) {
        self.0.profiles.store(Arc::new(profiles));
        self.0.problem.send_replace(None);
    }

    /// Clears the problem: the files match the profiles in use again.
    pub fn in_order(&self) {
        self.0.problem.send_replace(None);
    }

    /// Sets the problem: the files cannot be used, and the profiles stay.
    pub fn broken(&self, why: String) {
        self.0.problem.send_replace(Some(why));
    }

    /// Why the profiles could not be reloaded, if so.
    pub fn problem(&self) -> Option<String> {
        self.0.problem.borrow().clone()
    }
}
