//! Which namespaces and namespace rules have a profile that grants more than the
//! baseline, and do not name their runner. Anyone who can create pods there gets
//! what the profile grants, unless a runner is required: then jobs are denied.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use super::Namespace;
use super::policy::{Policy, Settings};
use super::rules::Rule;
use crate::standards::Level;
use crate::text::unquoted;

/// How many names a line of the log lists.
const LISTED: usize = 10;

/// The namespaces and the rules, each as a list for one line of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnnamedRunners {
    /// Namespaces that opt in by their label.
    pub namespaces: Names,
    /// Namespace rules.
    pub rules: Names,
}

/// Names, of which the first few are kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    first: BTreeSet<String>,
    count: usize,
}

impl UnnamedRunners {
    /// Looks for them among these namespaces and all namespace rules.
    pub fn among<N: Borrow<Namespace>>(
        namespaces: impl IntoIterator<Item = N>,
        settings: &Settings<'_>,
    ) -> UnnamedRunners {
        let mut found = UnnamedRunners::default();
        for namespace in namespaces {
            let namespace = namespace.borrow();
            // Where a rule applies, the rule is listed.
            if namespace.opts_in() && trusts_labels(namespace, settings) {
                found.namespaces.add(&namespace.name);
            }
        }
        for rule in settings.namespace_rules.rules() {
            if rule.trusts_labels(settings) {
                found.rules.add(&rule.name);
            }
        }
        found
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.namespaces.count == 0 && self.rules.count == 0
    }
}

fn trusts_labels(namespace: &Namespace, settings: &Settings<'_>) -> bool {
    let policy = Policy::from_namespace(namespace, settings);
    policy.is_some_and(|policy| policy.trusts_labels())
}

impl Rule {
    /// Whether its namespaces trust labels, unless they set values of their
    /// own.
    fn trusts_labels(&self, settings: &Settings<'_>) -> bool {
        let level = self.level.as_deref().unwrap_or(Level::Baseline.name());
        let profile = settings.profiles.get(&self.profile);
        self.runner.is_none()
            && level == Level::Baseline.name()
            && profile.is_some_and(|profile| profile.grants_beyond_baseline(Level::Baseline))
    }
}

impl Names {
    fn add(&mut self, name: &str) {
        self.count += 1;
        self.first.insert(unquoted(name).into_owned());
        if self.first.len() > LISTED {
            self.first.pop_last();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl std::fmt::Display for Names {
    /// `a, b and 3 more`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, name) in self.first.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::NamespaceRules;
    use super::super::{LEVEL, PROFILE, RUNNER};
    use super::*;
    use crate::profile::{Profile, Profiles};

    fn namespace(name: &str, labels: &[(&str, &str)], runner: Option<&str>) -> Namespace {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let runner = runner.map(|runner| owned((RUNNER, runner)));
        Namespace::new(name, labels.iter().copied().map(owned), runner)
    }

    #[test]
    fn namespaces_that_grant_beyond_the_baseline_and_name_no_runner_are_found() {
        let privileged = [(PROFILE, "privileged")];
        let with_level = |level| [(PROFILE, "privileged"), (LEVEL, level)];
        let all = [
            namespace("found", &privileged, None),
            namespace("found-at-baseline", &with_level("baseline"), None),
            namespace("named", &privileged, Some("system:serviceaccount:a:b")),
            namespace("rootless", &[(PROFILE, "rootless")], None),
            namespace("restricted", &with_level("restricted"), None),
            namespace("free", &with_level("privileged"), None),
            namespace("misspelt", &with_level("basline"), None),
            namespace("unknown", &[(PROFILE, "unknown")], None),
            namespace("unlabelled", &[], None),
            namespace("kube-system", &privileged, None),
        ];
        let found = UnnamedRunners::among(&all, &Settings::built_in());
        assert_eq!(found.namespaces.to_string(), "found, found-at-baseline");
        assert_eq!(found.namespaces.count(), 2);
        assert_eq!(found.rules, Names::default());
    }

    #[test]
    fn rules_with_custom_profiles_are_found_too() {
        let wide = "name: wide\nextends: privileged\n";
        let narrow = "name: narrow\nextends: privileged\ncontainers:\n  \
                      build: {set: {securityContext: {privileged: false}}, grants: {baseline: []}}\n  \
                      services: {grants: null}\n";
        let ours = [wide, narrow].map(|yaml| Profile::from_yaml(yaml).expect("a profile"));
        let built_in = Profiles::built_in().iter().cloned();
        let profiles: Profiles = built_in.chain(ours).collect();
        let rule = |name: &str, more: &str| {
            format!("- {{name: {name}, namespaces: {{prefix: {name}-}}, {more}}}\n")
        };
        let rules = [
            rule("wide", "profile: wide"),
            rule("narrow", "profile: narrow"),
            rule("named", "profile: privileged, runner: a"),
            rule("free", "profile: privileged, level: privileged"),
            rule("at-baseline", "profile: privileged, level: baseline"),
        ];
        let rules = format!("rules:\n{}", rules.concat());
        let namespace_rules = NamespaceRules::from_yaml(&rules, None).expect("rules");
        let settings = Settings {
            profiles: &profiles,
            namespace_rules: &namespace_rules,
            ..Settings::built_in()
        };
        // The rule is listed, and so the namespace is not.
        let namespaces = [namespace("wide-1", &[], None)];
        let found = UnnamedRunners::among(&namespaces, &settings);
        assert_eq!(found.rules.to_string(), "at-baseline, wide");
        assert_eq!(found.namespaces, Names::default());
    }

    #[test]
    fn what_is_listed_is_bounded_in_number_and_length_and_is_one_line() {
        let long = |number: usize| format!("n{number:04}\n{}", "x".repeat(100_000));
        let names: Vec<_> = (0..2000).map(long).collect();
        let privileged = [(PROFILE, "privileged")];
        let all = names.iter().map(|name| namespace(name, &privileged, None));
        let found = UnnamedRunners::among(all, &Settings::built_in());
        let listed = found.namespaces.to_string();
        assert!(listed.starts_with("n0000\\u{a}x"), "{listed}");
        assert!(listed.ends_with(" and 1990 more"), "{listed}");
        assert!(listed.len() < 4096 && !listed.contains('\n'), "{listed}");
    }
}
