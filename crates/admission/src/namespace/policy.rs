//! The policy of a namespace, from its labels, its annotations and the namespace
//! rule for it.

use std::sync::LazyLock;

use super::label::{Source, Stated, parse};
use super::rules::NamespaceRules;
use super::values::{STRICT, Values};
use super::{Label, Mode, Namespace, PROFILE, RUNNER, unknown_keys};
use crate::profile::{EffectiveProfile, Profile, Profiles, Setting};
use crate::standards::Level;
use crate::text::{quoted, unquoted};

/// podseal's own settings, for all namespaces.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The profiles a namespace can name.
    pub profiles: &'a Profiles,
    /// The rules for namespaces without the label [`PROFILE`].
    pub namespace_rules: &'a NamespaceRules,
    /// Whether a profile that grants more than the baseline requires the
    /// annotation [`RUNNER`].
    pub require_runner: bool,
    /// Whether a pod's own user namespace (`hostUsers: false`) relaxes no
    /// control, since kubelets before 1.30 run the pod without one.
    pub ignore_user_namespaces: bool,
}

static NO_RULES: LazyLock<NamespaceRules> = LazyLock::new(NamespaceRules::default);

impl Settings<'static> {
    /// The built-in profiles, no namespace rules, and labels trusted.
    pub fn built_in() -> Settings<'static> {
        Settings {
            profiles: Profiles::built_in(),
            namespace_rules: &NO_RULES,
            require_runner: false,
            ignore_user_namespaces: false,
        }
    }
}

/// What an opted-in namespace requires.
#[derive(Debug, Clone)]
pub struct Policy<'a> {
    /// The profile's name: the value of the label [`PROFILE`], or the namespace
    /// rule's profile.
    pub name: &'a str,
    /// The profile of that name, if there is one.
    pub profile: Option<&'a Profile>,
    /// The level that every pod must meet.
    pub level: Level,
    /// Whether that is the strictest one because the label's value is not a level.
    pub level_is_invalid: bool,
    /// What happens to a pod that violates it.
    pub mode: Mode,
    /// Whether what may keep a job from running is denied.
    pub strict: bool,
    /// The users that create job pods; anyone, if the namespace names none.
    runners: Option<Vec<&'a str>>,
    /// Whether jobs that get more than the baseline are denied without a named runner.
    require_runner: bool,
    /// What is wrong with the labels and annotations.
    pub warnings: Vec<String>,
    values: Values<'a>,
}

impl<'a> Policy<'a> {
    /// The policy of the namespace; none, if it does not opt in.
    pub fn from_namespace(namespace: &'a Namespace, settings: &Settings<'a>) -> Option<Policy<'a>> {
        if settings.namespace_rules.leaves_alone(&namespace.name) {
            return None;
        }
        // Rules do not apply to a namespace that sets a profile.
        let rule = match namespace.opts_in() {
            true => None,
            false => settings.namespace_rules.rule_for(namespace),
        };
        let values = Values { namespace, rule };
        let name = values.label(Label::Profile).0?;
        let mut warnings = Vec::new();
        for label in [Label::Level, Label::Mode, Label::Strict] {
            let milder = values.own(label).filter(|own| values.is_milder(label, own));
            if let (Some(own), Some(rule)) = (milder, rule) {
                warnings.push(format!(
                    "label {}: {} is less strict than the namespace rule {}, so the rule applies",
                    label.key(),
                    quoted(own),
                    unquoted(&rule.name)
                ));
            }
        }
        let levels = Level::ALL.map(|level| (level.name(), level));
        let level = parse(
            Label::Level,
            values.label(Label::Level),
            &levels,
            &mut warnings,
        );
        let mode = Mode::of_label(values.label(Label::Mode), &mut warnings);
        let strict = parse(
            Label::Strict,
            values.label(Label::Strict),
            &[(STRICT[0], false), (STRICT[1], true)],
            &mut warnings,
        );
        warnings.append(&mut unknown_keys::warnings(
            namespace,
            settings.namespace_rules,
        ));
        let runners = values.runner().0.map(|users| {
            let users: Vec<_> = users
                .split(',')
                .map(str::trim)
                .filter(|user| !user.is_empty())
                .collect();
            if users.is_empty() {
                warnings.push(format!(
                    "annotation {RUNNER} names no user, so no pod counts as a job's; name the user \
                     that creates job pods, such as system:serviceaccount:gitlab:gitlab-runner"
                ));
            }
            users
        });
        Some(Policy {
            name,
            profile: settings.profiles.get(name),
            level_is_invalid: matches!(level, Stated::Invalid),
            level: match level {
                Stated::Unset => Level::Baseline,
                Stated::Valid(level) => level,
                Stated::Invalid => Level::Restricted,
            },
            mode,
            strict: match strict {
                Stated::Unset => false,
                Stated::Valid(strict) => strict,
                Stated::Invalid => true,
            },
            runners,
            require_runner: settings.require_runner,
            warnings,
            values,
        })
    }

    /// The value of a setting, if the namespace or its rule sets it.
    pub fn setting(&self, setting: Setting) -> Option<&'a str> {
        self.values.setting(setting).0
    }

    /// Where a setting comes from.
    pub fn source_of(&self, setting: Setting) -> Source<'a> {
        self.values.setting(setting).1
    }

    /// Where the label's value comes from.
    pub fn source_of_label(&self, label: Label) -> Source<'a> {
        self.values.label(label).1
    }

    /// Where the runners come from.
    pub fn source_of_runner(&self) -> Source<'a> {
        self.values.runner().1
    }

    /// The name of the namespace rule that applies, if any.
    pub fn rule(&self) -> Option<&'a str> {
        self.values.rule.map(|rule| rule.name.as_str())
    }

    /// The settings that have a value, with it.
    pub fn settings(&self) -> impl Iterator<Item = (Setting, &'a str)> {
        let values = self.values;
        let value = move |setting: Setting| Some((setting, values.setting(setting).0?));
        Setting::ALL.into_iter().filter_map(value)
    }

    /// The profile with the values that the namespace overrides, where there is one.
    ///
    /// # Errors
    /// As [`EffectiveProfile::new`].
    pub fn effective_profile(&self) -> Option<Result<EffectiveProfile<'a>, (Setting, String)>> {
        let by_rule = matches!(self.source_of_label(Label::Profile), Source::Rule(_));
        let effective = EffectiveProfile::new(self.profile?, self.settings());
        Some(effective.map(|profile| profile.by_rule(by_rule)))
    }

    /// The namespace's profile and where it comes from, as the object of "has".
    pub fn origin(&self) -> String {
        match self.values.rule {
            None => format!("the label {PROFILE}: {}", quoted(self.name)),
            Some(rule) => format!(
                "the profile {} from the namespace rule {}",
                quoted(self.name),
                unquoted(&rule.name)
            ),
        }
    }

    /// Whether a pod that `user` creates can be a job's.
    pub fn is_runner(&self, user: &str) -> bool {
        self.runners
            .as_ref()
            .is_none_or(|runners| runners.contains(&user))
    }

    /// The first user that creates job pods, if the namespace names any.
    pub fn runner(&self) -> Option<&'a str> {
        self.runners.as_ref()?.first().copied()
    }

    /// The users that create job pods, as they are written.
    pub fn runners(&self) -> Option<&'a str> {
        self.values.runner().0
    }

    /// Whether the profile grants more than the baseline to anyone who puts a
    /// runner's labels on a pod.
    pub fn trusts_labels(&self) -> bool {
        let grants = |profile: &Profile| profile.grants_beyond_baseline(self.level);
        // Where a rule applies, the annotation may come from any user who
        // can create namespaces.
        let is_sealed = match self.values.rule {
            Some(rule) => rule.runner.is_some(),
            None => self.runners.is_some(),
        };
        !is_sealed && self.profile.is_some_and(grants)
    }

    /// Whether anyone does get that: podseal does not deny all jobs because of it.
    pub(crate) fn admits_trusted_labels(&self) -> bool {
        self.trusts_labels() && !self.require_runner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{LEVEL, MODE};

    fn namespace(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Namespace {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        };
        Namespace::new("ci", owned(labels), owned(annotations))
    }

    #[test]
    fn level_and_mode_have_no_effect_without_the_profile_label() {
        let namespace = namespace(&[(LEVEL, "restricted"), (MODE, "audit")], &[]);
        assert!(Policy::from_namespace(&namespace, &Settings::built_in()).is_none());
    }

    #[test]
    fn a_label_has_no_effect_on_the_clusters_own_namespaces_and_on_podseals() {
        let namespace_rules = NamespaceRules::none(Some("podseal"));
        let settings = Settings {
            namespace_rules: &namespace_rules,
            ..Settings::built_in()
        };
        for (name, has_policy) in [
            ("kube-system", false),
            ("openshift-ci", false),
            ("podseal", false),
            ("podseal-jobs", true),
            ("ci", true),
        ] {
            let namespace = Namespace {
                name: name.to_owned(),
                ..namespace(&[(PROFILE, "rootless")], &[])
            };
            let policy = Policy::from_namespace(&namespace, &settings);
            assert_eq!(policy.is_some(), has_policy, "{name}");
        }
    }

    #[test]
    fn a_profile_alone_means_baseline_and_enforce() {
        let namespace = namespace(&[(PROFILE, "rootless")], &[]);
        let policy = Policy::from_namespace(&namespace, &Settings::built_in()).expect("a policy");
        assert_eq!(
            (policy.level, policy.mode),
            (Level::Baseline, Mode::Enforce)
        );
        assert!(policy.warnings.is_empty());
        assert!(policy.is_runner("anyone"));
    }

    #[test]
    fn an_invalid_value_is_read_as_the_strictest_and_warned_of_with_the_valid_ones() {
        let labels = [(PROFILE, "rootless"), (LEVEL, "Privileged"), (MODE, "")];
        let namespace = namespace(&labels, &[]);
        let policy = Policy::from_namespace(&namespace, &Settings::built_in()).expect("a policy");
        assert_eq!(
            (policy.level, policy.mode),
            (Level::Restricted, Mode::Enforce)
        );
        assert_eq!(
            policy.warnings,
            [
                "label podseal.io/level: \"Privileged\" is not one of privileged, baseline, \
                 restricted, so the strictest applies",
                "label podseal.io/mode: \"\" is not one of enforce, warn, audit, so the strictest \
                 applies",
            ]
        );
    }

    #[test]
    fn only_a_named_runner_creates_jobs_and_an_empty_annotation_names_no_one() {
        let named = namespace(&[(PROFILE, "none")], &[(RUNNER, "a:b:c, d")]);
        let policy = Policy::from_namespace(&named, &Settings::built_in()).expect("a policy");
        assert!(policy.is_runner("a:b:c") && policy.is_runner("d") && !policy.is_runner("a"));
        let empty = namespace(&[(PROFILE, "none")], &[(RUNNER, " ,")]);
        let policy = Policy::from_namespace(&empty, &Settings::built_in()).expect("a policy");
        assert!(!policy.is_runner("") && !policy.is_runner("a"));
        assert_eq!(policy.warnings.len(), 1);
    }
}
