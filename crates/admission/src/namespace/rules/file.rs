//! Reads namespace rules, and rejects those that could match no namespace, or every
//! one.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Matches, NamespaceRules, Rule};
use crate::namespace::{Mode, PROFILE, is_clusters_own};
use crate::pod::names::{is_label_value, is_qualified};
use crate::profile::ProfileError;
use crate::standards::Level;
use crate::text::quoted;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Rule>,
}

/// Why the rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceRulesError {
    /// Not YAML, or not rules. The message is complete, without a source.
    #[error("{0}")]
    Yaml(ProfileError),
    /// An invalid rule.
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

impl NamespaceRules {
    /// Reads the rules, for a podseal that runs in the namespace `own`.
    ///
    /// # Errors
    /// If they cannot be read, or one of them could match no namespace, or
    /// every one.
    pub fn from_yaml(yaml: &str, own: Option<&str>) -> Result<NamespaceRules, NamespaceRulesError> {
        let File { rules } = serde_saphyr::from_str(yaml).map_err(|error| {
            let mut error = ProfileError::of_yaml(&error);
            for value in ["namespaceRules", "defaults"] {
                if error.message.contains(&format!("field `{value}`")) {
                    error.message +=
                        &format!("; in a file it is rules, and {value} is the chart's value");
                }
            }
            NamespaceRulesError::Yaml(error)
        })?;
        let mut names = BTreeSet::new();
        for (index, rule) in rules.iter().enumerate() {
            let wrong = match index < MOST {
                false => Some(format!("at most {MOST} rules are allowed")),
                true if !names.insert(&rule.name) => {
                    Some("another rule has the same name".to_owned())
                }
                true => rule.problem(own).err(),
            };
            if let Some(why) = wrong {
                let name = rule.name.clone();
                return Err(NamespaceRulesError::Rule { name, why });
            }
        }
        let own = own.map(str::to_owned);
        Ok(NamespaceRules { rules, own })
    }
}

impl Rule {
    /// Why it is invalid, as a clause.
    fn problem(&self, own: Option<&str>) -> Result<(), String> {
        let is_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if self.name.is_empty() || self.name.len() > NAME || !self.name.bytes().all(is_name) {
            return Err(format!(
                "its name must be lower-case letters, digits and '-', at most {NAME}"
            ));
        }
        self.namespaces.problem(own)?;
        known("level", self.level.as_deref(), Level::ALL.map(Level::name))?;
        known("mode", self.mode.as_deref(), Mode::ALL.map(Mode::name))
    }
}

impl Matches {
    fn problem(&self, own: Option<&str>) -> Result<(), String> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if prefix.is_empty() && self.match_labels.is_empty() {
            return Err(
                "namespaces: set a prefix or matchLabels; without them, the rule matches every \
                 namespace"
                    .to_owned(),
            );
        }
        if is_clusters_own(prefix) {
            return Err(format!(
                "namespaces.prefix: {} are the cluster's own, and never matched",
                quoted(prefix)
            ));
        }
        if !is_prefix(prefix) {
            return Err(format!(
                "namespaces.prefix: no namespace's name begins with {}",
                quoted(prefix)
            ));
        }
        for (key, value) in &self.match_labels {
            if !is_qualified(key) || !value.is_empty() && !is_label_value(value) {
                return Err(format!(
                    "namespaces.matchLabels: no namespace has the label {}: {}",
                    quoted(key),
                    quoted(value)
                ));
            }
            let is_kept = is_clusters_own(value) || own == Some(value);
            if key == "kubernetes.io/metadata.name" && is_kept {
                return Err(format!(
                    "namespaces.matchLabels: {} is never matched",
                    quoted(value)
                ));
            }
        }
        match self.match_labels.contains_key(PROFILE) {
            true => Err(format!(
                "namespaces.matchLabels: a namespace with the label {PROFILE} needs no rule"
            )),
            false => Ok(()),
        }
    }
}

/// Whether a namespace's name can begin with `text`.
fn is_prefix(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63 && !text.starts_with('-') && text.bytes().all(is_inner)
}

fn known<const N: usize>(key: &str, value: Option<&str>, known: [&str; N]) -> Result<(), String> {
    match value {
        Some(value) if !known.contains(&value) => Err(format!(
            "{key}: {} is not one of {}",
            quoted(value),
            known.join(", ")
        )),
        _ => Ok(()),
    }
}
