//! Labels and annotations under `podseal.io/` that podseal does not read.
//!
//! With a mistyped label such as `podseal.io/levle: restricted`, the namespace is
//! less strict than intended, and nothing fails. So podseal warns of it, with the
//! key that was probably meant.

use super::rules::NamespaceRules;
use super::{Namespace, RUNNER};
use crate::namespace::Label;
use crate::profile::Setting;
use crate::text::spelling::nearest;
use crate::text::unquoted;

/// How many get a warning each.
const WARNED: usize = 3;

/// How many unknown labels, and how many unknown annotations, are kept of each
/// namespace: users who can edit it may add thousands. One more than are named, so
/// that a warning can say that there are more.
pub const KEPT: usize = WARNED + 1;

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `metadata.labels`
    Label,
    /// `metadata.annotations`
    Annotation,
}

impl Kind {
    /// In a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Label => "label",
            Kind::Annotation => "annotation",
        }
    }

    fn with_article(self) -> &'static str {
        match self {
            Kind::Label => "a label",
            Kind::Annotation => "an annotation",
        }
    }
}

/// Every key that podseal reads, whatever the namespace rules are.
fn known() -> impl Iterator<Item = (Kind, &'static str)> {
    let labels = Label::ALL.map(|label| (Kind::Label, label.key()));
    let settings = Setting::ALL.map(|setting| (Kind::Annotation, setting.annotation()));
    labels
        .into_iter()
        .chain([(Kind::Annotation, RUNNER)])
        .chain(settings)
}

/// Whether podseal reads a label or an annotation of this key, whatever the
/// namespace rules are.
pub fn is_known(kind: Kind, key: &str) -> bool {
    known().any(|known| known == (kind, key))
}

/// The keys of `namespace` that begin with `podseal.io/` and have no effect there,
/// whether or not it opts in: labels first. Labels that namespace rules match have
/// an effect.
pub fn unread<'n>(
    namespace: &'n Namespace,
    namespace_rules: &NamespaceRules,
) -> impl Iterator<Item = (Kind, &'n str)> {
    let rules = namespace_rules.rules();
    let is_matched = move |key: &str| {
        let mut matched = rules.iter().map(|rule| &rule.namespaces.match_labels);
        matched.any(|labels| labels.contains_key(key))
    };
    let labels = namespace.labels.keys().map(|key| (Kind::Label, key));
    let annotations = namespace.annotations.keys();
    labels
        .chain(annotations.map(|key| (Kind::Annotation, key)))
        .map(|(kind, key)| (kind, key.as_str()))
        .filter(|(_, key)| Namespace::reads(key))
        .filter(|(kind, key)| !is_known(*kind, key))
        .filter(move |(kind, key)| *kind == Kind::Annotation || !is_matched(key))
}

/// A warning for each of them, and one for those that are too many.
pub fn warnings(namespace: &Namespace, namespace_rules: &NamespaceRules) -> Vec<String> {
    let unread: Vec<_> = unread(namespace, namespace_rules).collect();
    let named = unread.iter().take(WARNED);
    let mut warnings: Vec<_> = named.map(|(kind, key)| warning(*kind, key)).collect();
    let of_kind = |kind| unread.iter().filter(|(of, _)| *of == kind).count();
    let is_all = [Kind::Label, Kind::Annotation].map(|kind| of_kind(kind) < KEPT) == [true; 2];
    match unread.len().saturating_sub(WARNED) {
        0 => {}
        more => warnings.push(format!(
            "and {}{more} more of the namespace's labels and annotations under podseal.io/ \
             have no effect",
            if is_all { "" } else { "at least " }
        )),
    }
    warnings
}

fn warning(kind: Kind, key: &str) -> String {
    let warning = format!("{} {} has no effect", kind.name(), unquoted(key));
    match meant(kind, key) {
        None => warning,
        Some((meant, known)) if known == key => {
            format!("{warning}, since it is {}", meant.with_article())
        }
        Some((meant, known)) if meant == kind => format!("{warning}; did you mean {known}?"),
        Some((meant, known)) => format!("{warning}; did you mean the {} {known}?", meant.name()),
    }
}

/// The known key that was most likely meant: of two that are as near, the one of
/// the same kind.
fn meant(kind: Kind, key: &str) -> Option<(Kind, &'static str)> {
    // Without the prefix, which would make all keys similar.
    let own = |key: &'static str| key.rsplit('/').next().unwrap_or(key);
    let (_, name) = key.split_once('/')?;
    let of_kind = |wanted: bool| {
        let known = known().filter(move |(of, _)| (*of == kind) == wanted);
        known.map(|(_, known)| own(known))
    };
    let name = nearest(
        &name.to_ascii_lowercase(),
        of_kind(true).chain(of_kind(false)),
    )?;
    known().find(|(_, known)| own(known) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(keys: &[&str]) -> Vec<(String, String)> {
        let pair = |key: &&str| (format!("podseal.io/{key}"), "x".to_owned());
        keys.iter().map(pair).collect()
    }

    fn of(labels: &[&str], annotations: &[&str]) -> Vec<String> {
        let namespace = Namespace::new("ci", pairs(labels), pairs(annotations));
        warnings(&namespace, &NamespaceRules::default())
    }

    #[test]
    fn known_keys_are_not_warned_of_and_the_others_are_with_a_suggestion() {
        let labels = ["profile", "level", "mode"];
        let annotations = [
            "runner",
            "run-as-user",
            "home",
            "home-size",
            "fuse-resource",
        ];
        assert_eq!(of(&labels, &annotations), [""; 0]);
        for label in labels {
            let warning =
                format!("annotation podseal.io/{label} has no effect, since it is a label");
            assert_eq!(of(&[], &[label]), [warning]);
        }
        for annotation in annotations {
            let warning =
                format!("label podseal.io/{annotation} has no effect, since it is an annotation");
            assert_eq!(of(&[annotation], &[]), [warning]);
        }
        for (misspelt, meant) in [
            ("levle", "; did you mean podseal.io/level?"),
            ("Profile", "; did you mean podseal.io/profile?"),
            ("moed", "; did you mean podseal.io/mode?"),
            ("runer", "; did you mean the annotation podseal.io/runner?"),
            (
                "runAsUser",
                "; did you mean the annotation podseal.io/run-as-user?",
            ),
            ("corrected-as", ""),
            ("x", ""),
            ("", ""),
        ] {
            let warning = format!("label podseal.io/{misspelt} has no effect{meant}");
            assert_eq!(of(&[misspelt], &[]), [warning]);
        }
    }

    #[test]
    fn a_label_that_a_namespace_rule_requires_is_read_and_an_annotation_of_its_name_is_not() {
        let rules = "rules: [{name: a, namespaces: {matchLabels: {podseal.io/team: x}}, \
                     profile: none}]";
        let namespace_rules = NamespaceRules::from_yaml(rules, None).expect("rules");
        let count = |labels: &[&str], annotations: &[&str]| {
            let namespace = Namespace::new("ci", pairs(labels), pairs(annotations));
            warnings(&namespace, &namespace_rules).len()
        };
        assert_eq!((count(&["team"], &[]), count(&[], &["team"])), (0, 1));
        assert_eq!(of(&["team"], &[]).len(), 1, "without the rule");
    }

    #[test]
    fn thousands_of_unknown_keys_are_four_warnings_of_one_short_line_each() {
        let mut keys: Vec<_> = (0..3000)
            .map(|n| format!("{n}{}", "x".repeat(9000)))
            .collect();
        keys.push("\u{1b}[2J\nbroken pipe".to_owned());
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let warnings = of(&keys, &keys);
        assert_eq!(warnings.len(), WARNED + 1);
        let more = "and at least 5999 more of";
        assert!(warnings[WARNED].starts_with(more), "{}", warnings[WARNED]);
        let few = of(&keys[..3], &keys[..2]);
        assert!(few[WARNED].starts_with("and 2 more of"), "{few:?}");
        assert!(
            warnings.iter().all(|line| line.chars().count() <= 256),
            "{warnings:?}"
        );
        let warnings = of(&keys[3000..], &[]);
        assert!(
            !warnings[0].contains(['\u{1b}', '\n']) && !warnings[0].contains("broken pipe"),
            "{warnings:?}"
        );
    }
}
