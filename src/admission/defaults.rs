//! What holds for namespaces that carry no label of podseal's.
//!
//! GitLab Runner's `namespace_per_job` makes a namespace `ci-job-ID` for each
//! job, and nobody labels it. A cluster's administrator says in a file what such
//! namespaces get: rules, of which the first that matches counts, for every
//! value that the namespace itself does not say.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::pod_security::Level;
use super::policy::{Mode, Namespace, PROFILE, is_clusters_own};
use super::profile::{Profiles, Setting};
use super::text::quoted;

/// The rules, in their order.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    rules: Vec<Rule>,
    /// podseal's own namespace.
    own: Option<String>,
}

/// What namespaces of some kind get.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// What it is called in denials and records.
    pub name: String,
    /// Which namespaces it is for.
    pub namespaces: Matches,
    /// As the label `podseal.io/profile`.
    pub profile: String,
    /// As the label `podseal.io/level`.
    pub level: Option<String>,
    /// As the label `podseal.io/mode`.
    pub mode: Option<String>,
    /// As the annotation `podseal.io/runner`.
    pub runner: Option<String>,
    /// As the annotations `podseal.io/run-as-user` and so on, by what follows
    /// the slash.
    #[serde(default)]
    pub settings: BTreeMap<Setting, String>,
}

/// Which namespaces; all that is said has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Matches {
    /// What the name begins with.
    pub prefix: Option<String>,
    /// Labels they have, with these values.
    pub match_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Rule>,
}

/// Why the rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DefaultsError {
    /// Not YAML, or not rules.
    #[error("not default rules: {0}")]
    Yaml(#[from] serde_saphyr::Error),
    /// A rule that is wrong by itself.
    #[error("rule {}: {why}", quoted(name))]
    Rule {
        /// Its name.
        name: String,
        /// Why, as a clause.
        why: String,
    },
}

/// How many rules there may be. Each is an entry of both configurations.
const MOST: usize = 50;
/// How long a rule's name may be.
const NAME: usize = 40;

impl Defaults {
    /// No rules, for a podseal that runs in the namespace `own`.
    pub fn none(own: Option<&str>) -> Defaults {
        let (rules, own) = (Vec::new(), own.map(str::to_owned));
        Defaults { rules, own }
    }

    /// Reads the rules, for a podseal that runs in the namespace `own`.
    ///
    /// # Errors
    /// When they are none, or one of them could match nothing, or everything.
    pub fn from_yaml(yaml: &str, own: Option<&str>) -> Result<Defaults, DefaultsError> {
        let File { rules } = serde_saphyr::from_str(yaml)?;
        let mut names = BTreeSet::new();
        for rule in &rules {
            let wrong = |why: String| DefaultsError::Rule {
                name: rule.name.clone(),
                why,
            };
            let is_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
            if rule.name.is_empty() || rule.name.len() > NAME || !rule.name.bytes().all(is_name) {
                return Err(wrong(format!(
                    "its name is none of lower-case letters, digits and '-', at most {NAME}"
                )));
            }
            if !names.insert(&rule.name) {
                return Err(wrong("another rule has its name".to_owned()));
            }
            let Matches {
                prefix,
                match_labels,
            } = &rule.namespaces;
            match prefix.as_deref() {
                None | Some("") if match_labels.is_empty() => {
                    return Err(wrong("namespaces: say a prefix or matchLabels, since this is for every namespace".to_owned()));
                }
                Some(prefix) if is_clusters_own(prefix) => {
                    return Err(wrong(format!(
                        "namespaces.prefix: {} are the cluster's own, and never matched",
                        quoted(prefix)
                    )));
                }
                _ => {}
            }
            if match_labels.contains_key(PROFILE) {
                return Err(wrong(format!(
                    "namespaces.matchLabels: who has the label {PROFILE} needs no rule"
                )));
            }
            known("level", rule.level.as_deref(), Level::ALL.map(Level::name)).map_err(wrong)?;
            known("mode", rule.mode.as_deref(), Mode::ALL.map(Mode::name)).map_err(wrong)?;
        }
        if rules.len() > MOST {
            let (name, why) = (
                rules[MOST].name.clone(),
                format!("there may be {MOST} rules"),
            );
            return Err(DefaultsError::Rule { name, why });
        }
        let own = own.map(str::to_owned);
        Ok(Defaults { rules, own })
    }

    /// Whether nothing holds for the namespace called `name`, neither a rule nor
    /// a label of its own: it is the cluster's, or podseal's. The chart has the
    /// API server never call for these. Who registers podseal otherwise must not
    /// stop the cluster by it.
    pub fn leaves_alone(&self, name: &str) -> bool {
        is_clusters_own(name) || self.own.as_deref() == Some(name)
    }

    /// The rule for `namespace`.
    pub fn rule_for(&self, namespace: &Namespace) -> Option<&Rule> {
        if self.leaves_alone(&namespace.name) {
            return None;
        }
        self.rules
            .iter()
            .find(|rule| rule.namespaces.matches(namespace))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The keys of the labels that rules ask for.
    pub fn label_keys(&self) -> BTreeSet<String> {
        let labels = self
            .rules
            .iter()
            .flat_map(|rule| rule.namespaces.match_labels.keys());
        labels.cloned().collect()
    }

    /// That a rule asks for a profile that is none of these, as a sentence
    /// without a full stop: its namespaces would have all their jobs denied.
    pub fn asks_for_more_than(&self, profiles: &Profiles) -> Option<String> {
        let is_unknown = |rule: &&Rule| profiles.get(&rule.profile).is_none();
        let rule = self.rules.iter().find(is_unknown)?;
        Some(format!(
            "default rule {} asks for the profile {}, and there are only {}",
            quoted(&rule.name),
            quoted(&rule.profile),
            profiles.names()
        ))
    }
}

impl Matches {
    fn matches(&self, namespace: &Namespace) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let has = |(key, value): (&String, &String)| namespace.labels.get(key) == Some(value);
        namespace.name.starts_with(prefix) && self.match_labels.iter().all(has)
    }
}

fn known<const N: usize>(key: &str, value: Option<&str>, known: [&str; N]) -> Result<(), String> {
    match value {
        Some(value) if !known.contains(&value) => Err(format!(
            "{key}: {} is none of {}",
            quoted(value),
            known.join(", ")
        )),
        _ => Ok(()),
    }
}
