//! Namespace rules: what applies to namespaces without podseal's labels.
//!
//! GitLab Runner's `namespace_per_job` creates a namespace `ci-job-ID` for each
//! job, and nothing labels it. For such namespaces a cluster administrator writes a
//! file of rules. The first rule that matches applies, for every value that the
//! namespace itself does not set.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

mod file;

pub use self::file::NamespaceRulesError;
use crate::namespace::{Namespace, is_clusters_own};
use crate::profile::{EffectiveProfile, Profiles, Setting};
use crate::text::quoted;

/// The rules, in their order.
#[derive(Debug, Clone, Default)]
pub struct NamespaceRules {
    rules: Vec<Rule>,
    /// podseal's own namespace.
    own: Option<String>,
}

/// A rule: which namespaces it matches, and their values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// Its name in denials and records.
    pub name: String,
    /// The namespaces that it matches.
    pub namespaces: Matches,
    /// As the label `podseal.io/profile`.
    pub profile: String,
    /// As the label `podseal.io/level`.
    pub level: Option<String>,
    /// As the label `podseal.io/mode`.
    pub mode: Option<String>,
    /// As the label `podseal.io/strict`.
    pub strict: Option<bool>,
    /// As the annotation `podseal.io/runner`.
    pub runner: Option<String>,
    /// As the annotations `podseal.io/run-as-user` and so on, by what follows
    /// the slash.
    #[serde(default)]
    pub settings: BTreeMap<Setting, String>,
}

/// Which namespaces match; all conditions must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Matches {
    /// The prefix of the name.
    pub prefix: Option<String>,
    /// Their labels, with these values.
    pub match_labels: BTreeMap<String, String>,
}

impl NamespaceRules {
    /// No rules, for a podseal that runs in the namespace `own`.
    pub fn none(own: Option<&str>) -> NamespaceRules {
        let (rules, own) = (Vec::new(), own.map(str::to_owned));
        NamespaceRules { rules, own }
    }

    /// Whether podseal ignores the namespace called `name`, its labels and the
    /// rules for it: it is the cluster's own, or podseal's. The chart registers
    /// podseal so that the API server never calls it for these, and no other
    /// registration must stop the cluster.
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

    /// The rules that never apply, since one before them matches all of their
    /// namespaces, each as a sentence without a full stop.
    pub fn idle(&self) -> Vec<String> {
        let idle = self.rules.iter().enumerate().filter_map(|(index, rule)| {
            let before = self.rules[..index].iter();
            let mut covering = before.filter(|other| other.namespaces.covers(&rule.namespaces));
            let other = covering.next()?;
            Some(format!(
                "namespace rule {} never applies: {} before it matches all of its namespaces; put it \
                 first",
                quoted(&rule.name),
                quoted(&other.name)
            ))
        });
        idle.collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The keys of the labels that rules match.
    pub fn label_keys(&self) -> BTreeSet<String> {
        let labels = self
            .rules
            .iter()
            .flat_map(|rule| rule.namespaces.match_labels.keys());
        labels.cloned().collect()
    }

    /// Why a rule cannot be used with these profiles, as a sentence without a
    /// full stop. With it, every job in its namespaces would be denied.
    pub fn problem_with(&self, profiles: &Profiles) -> Option<String> {
        self.rules.iter().find_map(|rule| {
            let name = quoted(&rule.name);
            let Some(profile) = profiles.get(&rule.profile) else {
                return Some(format!(
                    "namespace rule {name} names the profile {}, and there are only {}",
                    quoted(&rule.profile),
                    profiles.names_near(&rule.profile)
                ));
            };
            let settings = rule
                .settings
                .iter()
                .map(|(key, value)| (*key, value.as_str()));
            let (setting, why) = EffectiveProfile::new(profile, settings).err()?;
            let setting = setting.name();
            Some(format!("namespace rule {name}: settings.{setting}: {why}"))
        })
    }
}

impl Matches {
    /// Whether all that `other` matches is matched.
    fn covers(&self, other: &Matches) -> bool {
        let [own, others] = [self, other].map(|all| all.prefix.as_deref().unwrap_or_default());
        let is_required =
            |(key, value): (&String, &String)| other.match_labels.get(key) == Some(value);
        others.starts_with(own) && self.match_labels.iter().all(is_required)
    }

    fn matches(&self, namespace: &Namespace) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let has = |(key, value): (&String, &String)| namespace.labels.get(key) == Some(value);
        namespace.name.starts_with(prefix) && self.match_labels.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &str) -> Result<NamespaceRules, String> {
        NamespaceRules::from_yaml(&format!("rules: [{rules}]"), Some("podseal"))
            .map_err(|error| error.to_string())
    }

    fn namespace(name: &str, team: &str) -> Namespace {
        let labels = [("team".to_owned(), team.to_owned())];
        Namespace::keeping(name, labels, [], &BTreeSet::from(["team".to_owned()]))
    }

    #[test]
    fn the_first_rule_applies_whose_conditions_are_all_met() {
        let namespace_rules = rules(
            "{name: both, namespaces: {prefix: ci-, matchLabels: {team: a}}, profile: none}, \
             {name: prefix, namespaces: {prefix: ci-job-}, profile: none}, \
             {name: label, namespaces: {matchLabels: {team: a}}, profile: none}",
        )
        .expect("rules");
        let name = |name, team| {
            let namespace = namespace(name, team);
            namespace_rules
                .rule_for(&namespace)
                .map(|rule| rule.name.clone())
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
    fn no_rule_matches_the_clusters_own_namespaces_or_podseals() {
        let all = "{name: all, namespaces: {matchLabels: {team: a}}, profile: none}, \
                   {name: k, namespaces: {prefix: k}, profile: none}";
        let namespace_rules = rules(all).expect("rules");
        for name in ["kube-system", "kube-ci-job", "openshift-ci", "podseal"] {
            assert_eq!(
                namespace_rules.rule_for(&namespace(name, "a")),
                None,
                "{name}"
            );
        }
        for name in ["podseal-ci", "kubernetes", "openshift"] {
            assert!(
                namespace_rules.rule_for(&namespace(name, "a")).is_some(),
                "{name}"
            );
        }
    }

    #[test]
    fn an_invalid_rule_is_rejected_with_its_name_and_the_reason() {
        for (rule, why) in [
            (
                "{name: a, namespaces: {}, profile: none}",
                "the rule matches every namespace",
            ),
            (
                "{name: a, namespaces: {prefix: ''}, profile: none}",
                "the rule matches every namespace",
            ),
            (
                "{name: a, namespaces: {prefix: kube-x}, profile: none}",
                "are the cluster's own",
            ),
            (
                "{name: A, namespaces: {prefix: a}, profile: none}",
                "its name must be",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none, level: strict}",
                "level: \"strict\" is not one of privileged, baseline, restricted",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none, mode: on}",
                "mode: \"on\" is not one of enforce, warn, audit",
            ),
            (
                "{name: a, namespaces: {matchLabels: {podseal.io/profile: x}}, profile: none}",
                "a namespace with the label podseal.io/profile needs no rule",
            ),
            (
                "{name: a, namespaces: {prefix: a}, profile: none}, \
                 {name: a, namespaces: {prefix: b}, profile: none}",
                "another rule has the same name",
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
    fn a_rule_that_an_earlier_one_covers_is_reported() {
        let idle = |rules: &str| {
            let rules = format!("rules:\n{rules}");
            NamespaceRules::from_yaml(&rules, None)
                .expect("rules")
                .idle()
        };
        let jobs = "- {name: jobs, namespaces: {prefix: ci-job-}, profile: none}\n";
        let big = "- {name: big, namespaces: {prefix: ci-job-big-, matchLabels: {a: b}}, profile: none}\n";
        let found = idle(&format!("{jobs}{big}"));
        assert_eq!(
            found,
            [
                "namespace rule \"big\" never applies: \"jobs\" before it matches all of its \
                 namespaces; put it first"
            ]
        );
        assert_eq!(idle(&format!("{big}{jobs}")), [""; 0]);
    }

    #[test]
    fn an_error_in_the_file_is_reported_once_with_its_place() {
        let error_of = |yaml: &str| {
            NamespaceRules::from_yaml(yaml, None)
                .expect_err("refused")
                .to_string()
        };
        let prefix =
            error_of("rules:\n- name: jobs\n  namespaces: {prefx: ci-}\n  profile: none\n");
        assert!(
            prefix.starts_with("line 3 column 16: did you mean `prefix`? unknown field"),
            "{prefix}"
        );
        assert!(!prefix.contains('\n'), "{prefix}");
        for value in ["namespaceRules", "defaults"] {
            let error = error_of(&format!("{value}: []\n"));
            let end = format!("in a file it is rules, and {value} is the chart's value");
            assert!(error.ends_with(&end), "{error}");
        }
    }
}
