//! What the namespace says: its labels, and one annotation.

use crate::namespace::Label;
use std::sync::LazyLock;

use super::rules::{NamespaceRules, Rule};
use super::{Mode, Namespace, PROFILE, RUNNER, unknown_keys};
use crate::profile::overrides::Adjusted;
use crate::profile::{Profile, Profiles, Setting};
use crate::standards::Level;
use crate::text::{quoted, word};

/// What podseal is told once, for all namespaces.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The profiles a namespace can name.
    pub profiles: &'a Profiles,
    /// What holds for namespaces without a profile's label.
    pub namespace_rules: &'a NamespaceRules,
    /// Whether a profile that grants something beyond the baseline needs the
    /// annotation [`RUNNER`].
    pub require_runner: bool,
    /// Whether a user namespace of a pod's own (`hostUsers: false`) relaxes no
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

/// What an opted-in namespace asks of podseal.
#[derive(Debug, Clone)]
pub struct Policy<'a> {
    /// The profile's name: the value of the label [`PROFILE`], or a default
    /// rule's.
    pub name: &'a str,
    /// The profile of that name, if there is one.
    pub profile: Option<&'a Profile>,
    /// What every pod is held to.
    pub level: Level,
    /// What becomes of a violation.
    pub mode: Mode,
    /// Who creates job pods; anybody, where the namespace does not say.
    runners: Option<Vec<&'a str>>,
    /// What is wrong with the labels and annotations.
    pub warnings: Vec<String>,
    said: Said<'a>,
}

/// Who says a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A label of the namespace.
    Label,
    /// An annotation of the namespace.
    Annotation,
    /// The namespace rule of this name.
    Rule(&'a str),
    /// Nobody, so the default of podseal or of the profile holds.
    Nobody,
}

/// What a namespace says, and the rule that speaks where it does not.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    namespace: &'a Namespace,
    rule: Option<&'a Rule>,
}

impl<'a> Said<'a> {
    /// What the label says, or the rule: of the two, the stricter. Who may label a
    /// namespace that has no profile's label of its own has not sealed it, and the
    /// rule is the cluster administrator's word.
    fn label(&self, label: Label) -> (Option<&'a str>, Source<'a>) {
        let own = self.own(label);
        let of_rule = |rule: &'a Rule| match label {
            Label::Profile => Some(rule.profile.as_str()),
            Label::Level => rule.level.as_deref(),
            Label::Mode => rule.mode.as_deref(),
        };
        match (own, self.rule) {
            // What the rule leaves unsaid is its word, too: the default holds.
            (Some(own), Some(rule)) if self.is_milder(label, own) => {
                (of_rule(rule), Source::Rule(&rule.name))
            }
            _ => self.first(own, Source::Label, of_rule),
        }
    }

    fn own(&self, label: Label) -> Option<&'a str> {
        self.namespace.labels.get(label.key()).map(String::as_str)
    }

    /// Whether the rule, where one speaks, asks for more than `own`.
    fn is_milder(&self, label: Label, own: &str) -> bool {
        let Some(rule) = self.rule else {
            return false;
        };
        match label {
            Label::Level => {
                let of_rule = rule.level.as_deref().unwrap_or(Level::Baseline.name());
                let levels = Level::ALL.map(Level::name);
                strictness(&levels, own) < strictness(&levels, of_rule)
            }
            Label::Mode => {
                let of_rule = rule.mode.as_deref().unwrap_or(Mode::Enforce.name());
                let mut modes = Mode::ALL.map(Mode::name);
                modes.reverse();
                strictness(&modes, own) < strictness(&modes, of_rule)
            }
            Label::Profile => false,
        }
    }

    /// Who creates job pods; the rule's word, where it has one, since a profile that
    /// grants much is given to nobody else.
    fn runner(&self) -> (Option<&'a str>, Source<'a>) {
        if let Some(rule) = self.rule
            && let Some(runner) = rule.runner.as_deref()
        {
            return (Some(runner), Source::Rule(&rule.name));
        }
        let own = self.namespace.annotations.get(RUNNER).map(String::as_str);
        self.first(own, Source::Annotation, |_| None)
    }

    fn setting(&self, setting: Setting) -> (Option<&'a str>, Source<'a>) {
        let own = self.namespace.annotations.get(setting.annotation());
        let of_rule = |rule: &'a Rule| rule.settings.get(&setting).map(String::as_str);
        self.first(own.map(String::as_str), Source::Annotation, of_rule)
    }

    fn first(
        &self,
        own: Option<&'a str>,
        source: Source<'a>,
        of_rule: impl Fn(&'a Rule) -> Option<&'a str>,
    ) -> (Option<&'a str>, Source<'a>) {
        let by_rule = || {
            let rule = self.rule?;
            Some((of_rule(rule)?, Source::Rule(&rule.name)))
        };
        match own.map(|own| (own, source)).or_else(by_rule) {
            Some((value, source)) => (Some(value), source),
            None => (None, Source::Nobody),
        }
    }
}

/// How strict a value is among `known`, the mildest first; one that is none of
/// them is read as the strictest.
fn strictness(known: &[&str], value: &str) -> usize {
    let position = known.iter().position(|known| *known == value);
    position.unwrap_or(known.len() - 1)
}

impl<'a> Policy<'a> {
    /// Reads the namespace; nothing, where it does not opt in.
    pub fn from_namespace(namespace: &'a Namespace, settings: &Settings<'a>) -> Option<Policy<'a>> {
        if settings.namespace_rules.leaves_alone(&namespace.name) {
            return None;
        }
        // Who says a profile says everything.
        let rule = match namespace.opts_in() {
            true => None,
            false => settings.namespace_rules.rule_for(namespace),
        };
        let said = Said { namespace, rule };
        let name = said.label(Label::Profile).0?;
        let mut warnings = Vec::new();
        for label in [Label::Level, Label::Mode] {
            let milder = said.own(label).filter(|own| said.is_milder(label, own));
            if let (Some(own), Some(rule)) = (milder, rule) {
                warnings.push(format!(
                    "label {}: {} is less strict than the namespace rule {}, so the rule applies",
                    label.key(),
                    quoted(own),
                    word(&rule.name)
                ));
            }
        }
        let levels = Level::ALL.map(|level| (level.name(), level));
        let level = read(said, Label::Level, &levels, &mut warnings);
        let modes = Mode::ALL.map(|mode| (mode.name(), mode));
        let mode = read(said, Label::Mode, &modes, &mut warnings);
        warnings.append(&mut unknown_keys::warnings(
            namespace,
            settings.namespace_rules,
        ));
        let runners = said.runner().0.map(|users| {
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
            level: match level {
                Stated::Unset => Level::Baseline,
                Stated::Valid(level) => level,
                Stated::Invalid => Level::Restricted,
            },
            mode: match mode {
                Stated::Valid(mode) => mode,
                Stated::Unset | Stated::Invalid => Mode::Enforce,
            },
            runners,
            warnings,
            said,
        })
    }

    /// The value that a setting has in the namespace, if it changes it.
    pub fn setting(&self, setting: Setting) -> Option<&'a str> {
        self.said.setting(setting).0
    }

    /// Who says a setting.
    pub fn source_of(&self, setting: Setting) -> Source<'a> {
        self.said.setting(setting).1
    }

    /// Who says the label's value.
    pub fn source_of_label(&self, label: Label) -> Source<'a> {
        self.said.label(label).1
    }

    /// Who says which users are runners.
    pub fn source_of_runner(&self) -> Source<'a> {
        self.said.runner().1
    }

    /// The namespace rule that speaks where the namespace does not.
    pub fn rule(&self) -> Option<&'a str> {
        self.said.rule.map(|rule| rule.name.as_str())
    }

    /// The settings that are said, and their values.
    pub fn settings(&self) -> impl Iterator<Item = (Setting, &'a str)> {
        let said = self.said;
        let value = move |setting: Setting| Some((setting, said.setting(setting).0?));
        Setting::ALL.into_iter().filter_map(value)
    }

    /// The profile as the namespace changes it, where there is one.
    ///
    /// # Errors
    /// As [`Adjusted::new`].
    pub fn adjusted(&self) -> Option<Result<Adjusted<'a>, (Setting, String)>> {
        Some(Adjusted::new(self.profile?, self.settings()))
    }

    /// The namespace's profile, and by whose word, as what it *has*.
    pub fn origin(&self) -> String {
        match self.said.rule {
            None => format!("the label {PROFILE}: {}", quoted(self.name)),
            Some(rule) => format!(
                "by the namespace rule {} the profile {}",
                word(&rule.name),
                quoted(self.name)
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
        self.said.runner().0
    }

    /// Whether the profile grants something beyond the baseline to whoever puts
    /// a runner's labels on a pod.
    pub fn trusts_labels(&self) -> bool {
        let grants = |profile: &Profile| profile.grants_beyond_baseline(self.level);
        // Under a rule the annotation is the word of whoever made the namespace.
        let is_sealed = match self.said.rule {
            Some(rule) => rule.runner.is_some(),
            None => self.runners.is_some(),
        };
        !is_sealed && self.profile.is_some_and(grants)
    }
}

/// What is stated of a value.
enum Stated<T> {
    /// Nothing.
    Unset,
    /// One of the known values.
    Valid(T),
    /// Something that is none of them.
    Invalid,
}

/// The value of a label among `known`, with a warning if it is invalid.
fn read<T: Copy>(
    said: Said<'_>,
    label: Label,
    known: &[(&str, T)],
    warnings: &mut Vec<String>,
) -> Stated<T> {
    let (value, source) = said.label(label);
    let Some(value) = value else {
        return Stated::Unset;
    };
    if let Some((_, known)) = known.iter().find(|(name, _)| *name == value) {
        return Stated::Valid(*known);
    }
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    warnings.push(format!(
        "{}{}: {} is not one of {}, so the strictest applies",
        match source {
            Source::Rule(_) => "namespace rule, ",
            _ => "label ",
        },
        label.key(),
        quoted(value),
        names.join(", ")
    ));
    Stated::Invalid
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
    fn without_the_profile_label_level_and_mode_mean_nothing() {
        let namespace = namespace(&[(LEVEL, "restricted"), (MODE, "audit")], &[]);
        assert!(Policy::from_namespace(&namespace, &Settings::built_in()).is_none());
    }

    #[test]
    fn a_label_means_nothing_on_a_namespace_of_the_clusters_or_of_podseals_own() {
        let namespace_rules = NamespaceRules::none(Some("podseal"));
        let settings = Settings {
            namespace_rules: &namespace_rules,
            ..Settings::built_in()
        };
        for (name, holds) in [
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
            assert_eq!(policy.is_some(), holds, "{name}");
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
        assert!(policy.is_runner("anybody"));
    }

    #[test]
    fn an_invalid_value_is_read_as_the_strictest_and_told_with_the_known_ones() {
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
    fn only_a_named_runner_creates_jobs_and_an_empty_name_is_nobody() {
        let named = namespace(&[(PROFILE, "none")], &[(RUNNER, "a:b:c, d")]);
        let policy = Policy::from_namespace(&named, &Settings::built_in()).expect("a policy");
        assert!(policy.is_runner("a:b:c") && policy.is_runner("d") && !policy.is_runner("a"));
        let empty = namespace(&[(PROFILE, "none")], &[(RUNNER, " ,")]);
        let policy = Policy::from_namespace(&empty, &Settings::built_in()).expect("a policy");
        assert!(!policy.is_runner("") && !policy.is_runner("a"));
        assert_eq!(policy.warnings.len(), 1);
    }
}
