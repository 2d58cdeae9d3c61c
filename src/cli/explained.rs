//! `podseal review --explain`: where each value came from, and which rule asked
//! for each change. It is what support asks people to paste.

use std::fmt::Write;

use serde::Serialize;

use super::render::{QUIET, visible};
use crate::admission::policy::{LEVEL, MODE, PROFILE, Policy, RUNNER, Settings, Source};
use crate::admission::profile::Setting;
use crate::admission::review::Decision;

/// As `-o json` prints it, within a reviewed pod. These names are an interface.
#[derive(Serialize)]
pub(super) struct Explained {
    values: Vec<Said>,
    changes: Vec<Asked>,
}

/// A value, and who says it.
#[derive(Serialize)]
struct Said {
    name: &'static str,
    value: Option<String>,
    from: String,
}

/// A change, and what asks for it.
#[derive(Serialize)]
struct Asked {
    change: String,
    rule: String,
    /// The profile that says the rule; the one extended, where it is its word.
    profile: Option<String>,
}

impl Explained {
    /// Of a pod whose correction was `corrected`.
    pub(super) fn of(corrected: &Decision<'_>, settings: &Settings<'_>) -> Explained {
        let values = corrected.policy.as_ref().map(values);
        let profile = corrected.policy.as_ref().and_then(|policy| policy.profile);
        let changes = corrected.changes.iter().map(|change| {
            let path = change.by.path();
            let says = profile.zip(path).map(|(profile, path)| {
                let field = change.field();
                let path: Vec<&str> = path.into_iter().chain(field).collect();
                settings.profiles.origin(profile, &path).to_owned()
            });
            Asked {
                change: change.to_string(),
                rule: change.by.to_string(),
                profile: says,
            }
        });
        Explained {
            changes: changes.collect(),
            values: values.unwrap_or_default(),
        }
    }

    /// As a table for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let shown = |value: &Option<String>| match value {
            Some(value) => visible(value).into_owned(),
            None => "-".to_owned(),
        };
        let values = width(
            &mut self
                .values
                .iter()
                .map(|said| shown(&said.value).chars().count()),
        );
        for Said { name, value, from } in &self.values {
            let value = shown(value);
            let _ = writeln!(text, "  {name:<14}{value:<values$}  {QUIET}{from}{QUIET:#}");
        }
        let changes = width(
            &mut self
                .changes
                .iter()
                .map(|asked| asked.change.chars().count()),
        );
        for Asked {
            change,
            rule,
            profile,
        } in &self.changes
        {
            let _ = write!(text, "  {change:<changes$}  {QUIET}{rule}");
            if let Some(profile) = profile {
                let _ = write!(text, " of {profile}");
            }
            let _ = writeln!(text, "{QUIET:#}");
        }
        text
    }
}

fn values(policy: &Policy<'_>) -> Vec<Said> {
    let from = |source: Source<'_>, key: &str, otherwise: String| match source {
        Source::Label => format!("label {key}"),
        Source::Annotation => format!("annotation {key}"),
        Source::Rule(rule) => format!("default rule {rule}"),
        Source::Nobody => otherwise,
    };
    let by_label = |name, key: &str, value: &str| Said {
        name,
        value: Some(value.to_owned()),
        from: from(
            policy.source_of_label(key),
            key,
            format!("nobody says {key}"),
        ),
    };
    let mut values = vec![
        by_label("profile", PROFILE, policy.name),
        by_label("level", LEVEL, policy.level.name()),
        by_label("mode", MODE, policy.mode.name()),
        Said {
            name: "runner",
            value: policy.runner().map(str::to_owned),
            from: from(
                policy.source_of_runner(),
                RUNNER,
                "nobody, so labels are trusted".to_owned(),
            ),
        },
    ];
    for setting in Setting::ALL {
        let key = setting.annotation();
        let said = policy.setting(setting);
        values.push(Said {
            name: key.strip_prefix("podseal.io/").unwrap_or(key),
            value: said.map(str::to_owned),
            from: from(
                policy.source_of(setting),
                key,
                "as the profile says".to_owned(),
            ),
        });
    }
    values
}
