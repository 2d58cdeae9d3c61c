//! What holds for namespaces that carry no label of podseal's.
//!
//! GitLab Runner's `namespace_per_job` makes a namespace `ci-job-ID` for each
//! job, and nobody labels it. A cluster's administrator says in a file what such
//! namespaces get: rules, of which the first that matches counts, for every
//! value that the namespace itself does not say.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::adjusted::Adjusted;
use super::pod_security::Level;
use super::policy::{Mode, Namespace, PROFILE, is_clusters_own};
use super::profile::check::{is_label_value, is_qualified};
use super::profile::{ProfileError, Profiles, Setting};
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
    /// Not YAML, or not rules. The whole of it is told here, and no cause after it.
    #[error("{0}")]
    Yaml(ProfileError),
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
        let File { rules } = serde_saphyr::from_str(yaml).map_err(|error| {
            let mut error = ProfileError::of_yaml(&error);
            if error.told.contains("field `defaults`") {
                error.told += "; in a file it is rules, and defaults is the chart's value";
            }
            DefaultsError::Yaml(error)
        })?;
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
            if let Some(prefix) = prefix.as_deref().filter(|prefix| !is_prefix(prefix)) {
                return Err(wrong(format!(
                    "namespaces.prefix: no namespace's name begins with {}",
                    quoted(prefix)
                )));
            }
            for (key, value) in match_labels {
                if !is_qualified(key) || !value.is_empty() && !is_label_value(value) {
                    return Err(wrong(format!(
                        "namespaces.matchLabels: no namespace has the label {}: {}",
                        quoted(key),
                        quoted(value)
                    )));
                }
                let is_kept = is_clusters_own(value) || own == Some(value);
                if key == "kubernetes.io/metadata.name" && is_kept {
                    return Err(wrong(format!(
                        "namespaces.matchLabels: {} is never matched",
                        quoted(value)
                    )));
                }
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

    /// The rules that never hold, since one before them has all of their namespaces,
    /// each as a sentence without a full stop.
    pub fn idle(&self) -> Vec<String> {
        let told = self.rules.iter().enumerate().filter_map(|(index, rule)| {
            let before = self.rules[..index].iter();
            let mut covering = before.filter(|other| other.namespaces.covers(&rule.namespaces));
            let other = covering.next()?;
            Some(format!(
                "default rule {} never holds: {} before it has all of its namespaces; put it first",
                quoted(&rule.name),
                quoted(&other.name)
            ))
        });
        told.collect()
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

    /// Why a rule cannot be used with these profiles, as a sentence without a full
    /// stop: its namespaces would have all their jobs denied.
    pub fn problem_with(&self, profiles: &Profiles) -> Option<String> {
        self.rules.iter().find_map(|rule| {
            let name = quoted(&rule.name);
            let Some(profile) = profiles.get(&rule.profile) else {
                return Some(format!(
                    "default rule {name} asks for the profile {}, and there are only {}",
                    quoted(&rule.profile),
                    profiles.names_near(&rule.profile)
                ));
            };
            let settings = rule
                .settings
                .iter()
                .map(|(key, value)| (*key, value.as_str()));
            let (setting, why) = Adjusted::new(profile, settings).err()?;
            let setting = setting.name();
            Some(format!("default rule {name}: settings.{setting}: {why}"))
        })
    }
}

impl Matches {
    /// Whether all that `other` matches is matched.
    fn covers(&self, other: &Matches) -> bool {
        let [own, others] = [self, other].map(|all| all.prefix.as_deref().unwrap_or_default());
        let asks = |(key, value): (&String, &String)| other.match_labels.get(key) == Some(value);
        others.starts_with(own) && self.match_labels.iter().all(asks)
    }

    fn matches(&self, namespace: &Namespace) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let has = |(key, value): (&String, &String)| namespace.labels.get(key) == Some(value);
        namespace.name.starts_with(prefix) && self.match_labels.iter().all(has)
    }
}

/// Whether the name of a namespace can begin so.
fn is_prefix(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63 && !text.starts_with('-') && text.bytes().all(is_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &str) -> Result<Defaults, String> {
        Defaults::from_yaml(&format!("rules: [{rules}]"), Some("podseal"))
            .map_err(|error| error.to_string())
    }

    fn namespace(name: &str, team: &str) -> Namespace {
        let labels = [("team".to_owned(), team.to_owned())];
        Namespace::keeping(name, labels, [], &BTreeSet::from(["team".to_owned()]))
    }

    #[test]
    fn the_first_rule_counts_of_which_all_that_is_said_holds() {
        let defaults = rules(
            "{name: both, namespaces: {prefix: ci-, matchLabels: {team: a}}, profile: none}, \
             {name: prefix, namespaces: {prefix: ci-job-}, profile: none}, \
             {name: label, namespaces: {matchLabels: {team: a}}, profile: none}",
        )
        .expect("rules");
        let name = |name, team| {
            let namespace = namespace(name, team);
            defaults.rule_for(&namespace).map(|rule| rule.name.clone())
        };
        assert_eq!(name("ci-job-1", "a").as_deref(), Some("both"));
        assert_eq!(name("ci-job-1", "b").as_deref(), Some("prefix"));
        assert_eq!(name("x", "a").as_deref(), Some("label"));
        assert_eq!(name("ci-", "b"), None);
        assert_eq!(
            name("xci-job-1", "b"),
            None,
            "a prefix is where the name begins"
        );
    }

    #[test]
    fn no_rule_is_for_a_namespace_of_the_clusters_own_or_for_podseals() {
        let all = "{name: all, namespaces: {matchLabels: {team: a}}, profile: none}, \
                   {name: k, namespaces: {prefix: k}, profile: none}";
        let defaults = rules(all).expect("rules");
        for name in ["kube-system", "kube-ci-job", "openshift-ci", "podseal"] {
            assert_eq!(defaults.rule_for(&namespace(name, "a")), None, "{name}");
        }
        for name in ["podseal-ci", "kubernetes", "openshift"] {
            assert!(defaults.rule_for(&namespace(name, "a")).is_some(), "{name}");
        }
    }

    #[test]
    fn a_rule_that_could_not_be_meant_is_refused_with_its_name_and_why() {
        for (rule, why) in [
            (
                "{name: a, namespaces: {}, profile: none}",
                "this is for every namespace",
            ),
            (
                "{name: a, namespaces: {prefix: ''}, profile: none}",
                "this is for every namespace",
            ),
            (
                "{name: a, namespaces: {prefix: kube-x}, profile: none}",
                "are the cluster's own",
            ),
            (
                "{name: A, namespaces: {prefix: a}, profile: none}",
                "its name is none of",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none, level: strict}",
                "level: \"strict\" is none of privileged, baseline, restricted",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none, mode: on}",
                "mode: \"on\" is none of enforce, warn, audit",
            ),
            (
                "{name: a, namespaces: {matchLabels: {podseal.io/profile: x}}, profile: none}",
                "who has the label podseal.io/profile needs no rule",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none}, \
                 {name: a, namespaces: {prefix: b}, profile: none}",
                "another rule has its name",
            ),
            ("{name: a, namespaces: {prefix: a}}", "missing field"),
            (
                "{name: a, namespaces: {prefix: a}, profil: none}",
                "unknown field",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none, settings: {user: '1'}}",
                "user",
            ),
        ] {
            let error = rules(rule).expect_err(rule);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_rule_that_one_before_it_leaves_nothing_to_is_told() {
        let idle = |rules: &str| {
            let rules = format!("rules:\n{rules}");
            Defaults::from_yaml(&rules, None).expect("rules").idle()
        };
        let jobs = "- {name: jobs, namespaces: {prefix: ci-job-}, profile: none}\n";
        let big = "- {name: big, namespaces: {prefix: ci-job-big-, matchLabels: {a: b}}, profile: none}\n";
        let found = idle(&format!("{jobs}{big}"));
        assert_eq!(
            found,
            [
                "default rule \"big\" never holds: \"jobs\" before it has all of its namespaces; put it first"
            ]
        );
        assert_eq!(idle(&format!("{big}{jobs}")), [""; 0]);
    }

    #[test]
    fn an_error_of_the_file_is_told_once_with_its_place() {
        let told = |yaml: &str| {
            Defaults::from_yaml(yaml, None)
                .expect_err("refused")
                .to_string()
        };
        let prefix = told("rules:\n- name: jobs\n  namespaces: {prefx: ci-}\n  profile: none\n");
        assert!(
            prefix.starts_with("line 3 column 16: did you mean `prefix`? unknown field"),
            "{prefix}"
        );
        assert!(!prefix.contains('\n'), "{prefix}");
        assert!(told("defaults: []\n").contains("in a file it is rules"));
    }
}
