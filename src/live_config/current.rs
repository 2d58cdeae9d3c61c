//! What holds now. A review takes it once, and decides by that.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::digest::RulesDigest;
use admission::namespace::policy::Settings;
use admission::namespace::rules::NamespaceRules;
use admission::profile::Profiles;

/// What holds for all namespaces. Clones share it.
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
    /// Why the files' profiles are not these.
    problem: watch::Sender<Option<String>>,
}

impl LiveConfig {
    /// These profiles, until others come; the rest for good. The digest is that of
    /// the file that the namespace rules were read from.
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

    /// The profiles that hold now.
    pub fn profiles(&self) -> Guard<Arc<Profiles>> {
        self.0.profiles.load()
    }

    /// What a review decides by, with the profiles it has taken.
    pub fn settings<'r>(&'r self, profiles: &'r Profiles) -> Settings<'r> {
        Settings {
            profiles,
            namespace_rules: &self.0.namespace_rules,
            require_runner: self.0.require_runner,
            ignore_user_namespaces: self.0.ignore_user_namespaces,
        }
    }

    /// What holds for namespaces without a label.
    pub fn namespace_rules(&self) -> &NamespaceRules {
        &self.0.namespace_rules
    }

    /// Which namespace rules these are; none where there is no file of them.
    pub fn digest(&self) -> Option<&RulesDigest> {
        self.0.digest.as_ref()
    }

    /// Other profiles hold from now on.
    pub fn replace(&self, profiles: Profiles) {
        self.0.profiles.store(Arc::new(profiles));
        self.0.problem.send_replace(None);
    }

    /// The files are as they were when their profiles were taken.
    pub fn in_order(&self) {
        self.0.problem.send_replace(None);
    }

    /// The files cannot be used, and the profiles of before hold on.
    pub fn broken(&self, why: String) {
        self.0.problem.send_replace(Some(why));
    }

    /// Why the files' profiles do not hold, if they do not.
    pub fn problem(&self) -> Option<String> {
        self.0.problem.borrow().clone()
    }
}
