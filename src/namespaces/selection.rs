//! Which namespaces a watch covers.
//!
//! | selection | namespaces | the API server calls for them by |
//! |---|---|---|
//! | by label | with the label `podseal.io/profile` | `/mutate` and `/validate` |
//! | by rules | without it, and matched by a namespace rule | the paths of rules |
//!
//! The two have nothing in common, so a namespace that gets the label moves from one to
//! the other.
//!
//! The API server selects by labels alone. A rule's prefix is tested here, and what it
//! does not match is read, but not kept.

use std::collections::{BTreeMap, BTreeSet};

use admission::namespace::rules::NamespaceRules;
use admission::namespace::{Namespace, PROFILE};

/// The namespaces that a watch covers.
#[derive(Debug)]
pub(super) enum Selection {
    /// Those that opt in by the label.
    Label,
    /// Those that opt in by a namespace rule alone.
    Rules {
        rules: NamespaceRules,
        /// The labels that rules require, kept in addition to podseal's own.
        keys: BTreeSet<String>,
    },
}

impl Selection {
    /// The namespaces without the label that these rules match. `None` without rules.
    pub(super) fn by_rules(rules: &NamespaceRules) -> Option<Selection> {
        let keys = rules.label_keys();
        let rules = rules.clone();
        (!rules.is_empty()).then_some(Selection::Rules { rules, keys })
    }

    /// What it is called in the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Selection::Label => "namespaces that opt in",
            Selection::Rules { .. } => "namespaces that rules match",
        }
    }

    /// The label selector for the API server.
    pub(super) fn labels(&self) -> String {
        match self {
            Selection::Label => PROFILE.to_owned(),
            Selection::Rules { rules, .. } => {
                let mut requirements = vec![format!("!{PROFILE}")];
                requirements.extend(required(rules));
                requirements.join(",")
            }
        }
    }

    /// The keys of labels that are kept in addition to podseal's own.
    pub(super) fn keys(&self) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        match self {
            Selection::Label => &NONE,
            Selection::Rules { keys, .. } => keys,
        }
    }

    /// Whether it covers `namespace`, of which its keys are known.
    pub(super) fn covers(&self, namespace: &Namespace) -> bool {
        match self {
            Selection::Label => namespace.opts_in(),
            Selection::Rules { rules, .. } => {
                !namespace.opts_in() && rules.rule_for(namespace).is_some()
            }
        }
    }
}

/// What the labels of every matched namespace have in common, as requirements of a
/// selector: the keys that each rule requires, with the values that any allows.
fn required(rules: &NamespaceRules) -> impl Iterator<Item = String> {
    let mut common: Option<BTreeMap<&str, BTreeSet<&str>>> = None;
    for rule in rules.rules() {
        let labels = &rule.namespaces.match_labels;
        let Some(common) = &mut common else {
            let one = |(key, value)| (String::as_str(key), BTreeSet::from([String::as_str(value)]));
            common = Some(labels.iter().map(one).collect());
            continue;
        };
        common.retain(|key, values| {
            labels.get(*key).is_some_and(|value| {
                values.insert(value);
                true
            })
        });
    }
    common.into_iter().flatten().map(|(key, values)| {
        // An empty value is allowed in a label, but not between the commas of a set.
        if values.contains("") {
            return key.to_owned();
        }
        let values: Vec<_> = values.into_iter().collect();
        format!("{key} in ({})", values.join(","))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_rules(rules: &str) -> Selection {
        let rules = NamespaceRules::from_yaml(&format!("rules: [{rules}]"), Some("podseal"));
        Selection::by_rules(&rules.expect("rules")).expect("there are rules")
    }

    #[test]
    fn the_api_server_sends_no_more_than_what_all_rules_have_in_common() {
        let rule = |name: &str, matches: &str| {
            format!("{{name: {name}, namespaces: {{{matches}}}, profile: none}}")
        };
        let selector = |rules: &[&str]| by_rules(&rules.join(", ")).labels();
        let prefix = rule("a", "prefix: ci-");
        let (x, y) = (
            rule("b", "matchLabels: {team: x, kind: job}"),
            rule("c", "matchLabels: {team: y}"),
        );
        let empty = rule("d", "matchLabels: {team: ''}");
        let unlabelled = "!podseal.io/profile";
        assert_eq!(selector(&[&prefix]), unlabelled);
        assert_eq!(
            selector(&[&x]),
            format!("{unlabelled},kind in (job),team in (x)")
        );
        assert_eq!(selector(&[&x, &y]), format!("{unlabelled},team in (x,y)"));
        assert_eq!(selector(&[&y, &empty]), format!("{unlabelled},team"));
        assert_eq!(selector(&[&x, &prefix]), unlabelled, "any label will do");
        assert_eq!(Selection::Label.labels(), "podseal.io/profile");
        assert!(Selection::by_rules(&NamespaceRules::none(None)).is_none());
    }

    #[test]
    fn a_namespace_is_covered_by_its_label_or_by_a_rule_and_never_by_both() {
        let rules = by_rules("{name: a, namespaces: {prefix: ci-job-}, profile: none}");
        let label = (PROFILE.to_owned(), "rootless".to_owned());
        let labelled = Namespace::new("ci-job-1", [label], []);
        let unlabelled = |name: &str| Namespace::new(name, [], []);
        for (namespace, by_label, by_rule) in [
            (labelled, true, false),
            (unlabelled("ci-job-1"), false, true),
            (unlabelled("ci"), false, false),
            (unlabelled("podseal"), false, false),
        ] {
            let name = &namespace.name;
            assert_eq!(Selection::Label.covers(&namespace), by_label, "{name}");
            assert_eq!(rules.covers(&namespace), by_rule, "{name}");
        }
    }
}
