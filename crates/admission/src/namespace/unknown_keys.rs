//! Labels and annotations that say they are podseal's and that nothing reads.
//!
//! Who writes `podseal.io/levle: restricted` means to have a stricter namespace
//! and has a milder one, and nothing fails. So it is told, with what was meant.

use super::rules::NamespaceRules;
use super::{Namespace, RUNNER};
use crate::namespace::Label;
use crate::profile::Setting;
use crate::text::spelling::nearest;
use crate::text::word;

/// How many are told, in an API warning each.
const TOLD: usize = 3;

/// How many labels, and how many annotations, that nothing reads are kept of a
/// namespace in the cluster: who may edit it may add thousands. One more than are
/// named, so that there is a word on the rest.
pub const KEPT: usize = TOLD + 1;

/// What of a namespace has keys.
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

const KNOWN: [(Kind, &str); 7] = [
    (Kind::Label, Label::ALL[0].key()),
    (Kind::Label, Label::ALL[1].key()),
    (Kind::Label, Label::ALL[2].key()),
    (Kind::Annotation, RUNNER),
    (Kind::Annotation, Setting::ALL[0].annotation()),
    (Kind::Annotation, Setting::ALL[1].annotation()),
    (Kind::Annotation, Setting::ALL[2].annotation()),
];

/// Whether podseal reads a label or an annotation of this key, whatever the default
/// rules are.
pub fn is_known(kind: Kind, key: &str) -> bool {
    KNOWN.contains(&(kind, key))
}

/// The keys of `namespace` that begin with `podseal.io/` and mean nothing there,
/// whether or not it opts in: labels first. What a namespace rule asks for is read.
pub fn unread<'n>(
    namespace: &'n Namespace,
    namespace_rules: &NamespaceRules,
) -> impl Iterator<Item = (Kind, &'n str)> {
    let rules = namespace_rules.rules();
    let is_asked_for = move |key: &str| {
        let mut asked = rules.iter().map(|rule| &rule.namespaces.match_labels);
        asked.any(|labels| labels.contains_key(key))
    };
    let labels = namespace.labels.keys().map(|key| (Kind::Label, key));
    let annotations = namespace.annotations.keys();
    labels
        .chain(annotations.map(|key| (Kind::Annotation, key)))
        .map(|(kind, key)| (kind, key.as_str()))
        .filter(|(_, key)| Namespace::reads(key))
        .filter(|(kind, key)| !is_known(*kind, key))
        .filter(move |(kind, key)| *kind == Kind::Annotation || !is_asked_for(key))
}

/// A warning for each of them, and one for those that are too many.
pub fn warnings(namespace: &Namespace, namespace_rules: &NamespaceRules) -> Vec<String> {
    let unread: Vec<_> = unread(namespace, namespace_rules).collect();
    let told = unread.iter().take(TOLD).map(|(kind, key)| told(*kind, key));
    let mut warnings: Vec<_> = told.collect();
    let of_kind = |kind| unread.iter().filter(|(of, _)| *of == kind).count();
    let is_all = [Kind::Label, Kind::Annotation].map(|kind| of_kind(kind) < KEPT) == [true; 2];
    match unread.len().saturating_sub(TOLD) {
        0 => {}
        more => warnings.push(format!(
            "and {}{more} more of the namespace's labels and annotations under podseal.io/ \
             have no effect",
            if is_all { "" } else { "at least " }
        )),
    }
    warnings
}

fn told(kind: Kind, key: &str) -> String {
    let said = format!("{} {} has no effect", kind.name(), word(key));
    match meant(kind, key) {
        None => said,
        Some((meant, known)) if known == key => {
            format!("{said}, since it is {}", meant.with_article())
        }
        Some((meant, known)) if meant == kind => format!("{said}; did you mean {known}?"),
        Some((meant, known)) => format!("{said}; did you mean the {} {known}?", meant.name()),
    }
}

/// What it most likely is to be: of two that are as near, the one of its kind.
fn meant(kind: Kind, key: &str) -> Option<(Kind, &'static str)> {
    // What all have in common would make any two of them alike.
    let own = |key: &'static str| key.rsplit('/').next().unwrap_or(key);
    let (_, name) = key.split_once('/')?;
    let of_kind = |wanted: bool| {
        let known = KNOWN.iter().filter(move |(of, _)| (*of == kind) == wanted);
        known.map(|(_, known)| own(known))
    };
    let name = nearest(
        &name.to_ascii_lowercase(),
        of_kind(true).chain(of_kind(false)),
    )?;
    KNOWN.into_iter().find(|(_, known)| own(known) == name)
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
    fn what_is_read_is_not_told_and_each_of_the_rest_with_what_was_meant() {
        let labels = ["profile", "level", "mode"];
        let annotations = ["runner", "run-as-user", "home", "fuse-resource"];
        assert_eq!(of(&labels, &annotations), [""; 0]);
        for label in labels {
            let told = format!("annotation podseal.io/{label} has no effect, since it is a label");
            assert_eq!(of(&[], &[label]), [told]);
        }
        for annotation in annotations {
            let told =
                format!("label podseal.io/{annotation} has no effect, since it is an annotation");
            assert_eq!(of(&[annotation], &[]), [told]);
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
            let told = format!("label podseal.io/{misspelt} has no effect{meant}");
            assert_eq!(of(&[misspelt], &[]), [told]);
        }
    }

    #[test]
    fn a_label_that_a_namespace_rule_requires_is_read_and_an_annotation_of_its_name_is_not() {
        let rules = "rules: [{name: a, namespaces: {matchLabels: {podseal.io/team: x}}, \
                     profile: none}]";
        let namespace_rules = NamespaceRules::from_yaml(rules, None).expect("rules");
        let told = |labels: &[&str], annotations: &[&str]| {
            let namespace = Namespace::new("ci", pairs(labels), pairs(annotations));
            warnings(&namespace, &namespace_rules).len()
        };
        assert_eq!((told(&["team"], &[]), told(&[], &["team"])), (0, 1));
        assert_eq!(of(&["team"], &[]).len(), 1, "without the rule");
    }

    #[test]
    fn thousands_are_told_in_four_lines_that_break_no_log() {
        let mut keys: Vec<_> = (0..3000)
            .map(|n| format!("{n}{}", "x".repeat(9000)))
            .collect();
        keys.push("\u{1b}[2J\nbroken pipe".to_owned());
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let told = of(&keys, &keys);
        assert_eq!(told.len(), TOLD + 1);
        let more = "and at least 5999 more of";
        assert!(told[TOLD].starts_with(more), "{}", told[TOLD]);
        let few = of(&keys[..3], &keys[..2]);
        assert!(few[TOLD].starts_with("and 2 more of"), "{few:?}");
        assert!(
            told.iter().all(|line| line.chars().count() <= 256),
            "{told:?}"
        );
        let told = of(&keys[3000..], &[]);
        assert!(
            !told[0].contains(['\u{1b}', '\n']) && !told[0].contains("broken pipe"),
            "{told:?}"
        );
    }
}
