//! The values of a namespace's labels and annotations, and of the rule for it.

use super::label::Source;
use super::rules::Rule;
use super::{Label, Mode, Namespace, RUNNER};
use crate::profile::Setting;
use crate::standards::Level;

/// The values that a namespace sets, and the rule for those that it does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) rule: Option<&'a Rule>,
}

impl<'a> Values<'a> {
    /// The value of the label or of the rule, whichever is stricter. A
    /// namespace without a profile's label may still have these labels from
    /// users who may label it, and the rule comes from the cluster
    /// administrator.
    pub(super) fn label(&self, label: Label) -> (Option<&'a str>, Source<'a>) {
        let own = self.own(label);
        let of_rule = |rule: &'a Rule| match label {
            Label::Profile => Some(rule.profile.as_str()),
            Label::Level => rule.level.as_deref(),
            Label::Mode => rule.mode.as_deref(),
            Label::Strict => rule.strict.map(flag),
        };
        match (own, self.rule) {
            // A rule without a value requires the default.
            (Some(own), Some(rule)) if self.is_milder(label, own) => {
                (of_rule(rule), Source::Rule(&rule.name))
            }
            _ => self.first(own, Source::Label, of_rule),
        }
    }

    pub(super) fn own(&self, label: Label) -> Option<&'a str> {
        self.namespace.labels.get(label.key()).map(String::as_str)
    }

    /// Whether there is a rule and it is stricter than `own`.
    pub(super) fn is_milder(&self, label: Label, own: &str) -> bool {
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
            Label::Strict => {
                let of_rule = rule.strict.map_or(STRICT[0], flag);
                strictness(&STRICT, own) < strictness(&STRICT, of_rule)
            }
            Label::Profile => false,
        }
    }

    /// The users that create job pods. The rule's value comes first, so that no
    /// one else can get a profile that grants a lot.
    pub(super) fn runner(&self) -> (Option<&'a str>, Source<'a>) {
        if let Some(rule) = self.rule
            && let Some(runner) = rule.runner.as_deref()
        {
            return (Some(runner), Source::Rule(&rule.name));
        }
        let own = self.namespace.annotations.get(RUNNER).map(String::as_str);
        self.first(own, Source::Annotation, |_| None)
    }

    pub(super) fn setting(&self, setting: Setting) -> (Option<&'a str>, Source<'a>) {
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
            None => (None, Source::Default),
        }
    }
}

/// The values of the label [`Label::Strict`], the least strict first.
pub(super) const STRICT: [&str; 2] = ["false", "true"];

fn flag(is_strict: bool) -> &'static str {
    STRICT[usize::from(is_strict)]
}

/// How strict a value is among `known`, the least strict first. Any other value
/// counts as the strictest.
fn strictness(known: &[&str], value: &str) -> usize {
    let position = known.iter().position(|known| *known == value);
    position.unwrap_or(known.len() - 1)
}
