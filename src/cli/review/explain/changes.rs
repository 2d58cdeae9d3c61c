//! Each change, and the rule behind it.

use std::borrow::Cow;

use serde::Serialize;

use super::profile_sources::{FieldSource, ProfileSources};
use admission::correct::change::{By, Change};
use admission::correct::change_parts::{Action, Parts};
use admission::profile::{EffectiveProfile, Profile};

/// A change and its source.
#[derive(Serialize)]
pub(super) struct ExplainedChange {
    /// `pod`, `container` or `init container`.
    pub(super) place: String,
    pub(super) container: Option<String>,
    pub(super) field: String,
    /// `set`, `add` or `remove`.
    pub(super) action: &'static str,
    pub(super) value: Option<String>,
    pub(super) was: Option<String>,
    /// The part of the profile that requires it, or another rule.
    pub(super) rule: String,
    /// The field of the profile.
    pub(super) profile: Option<FieldSource>,
    /// The annotation that changed the profile's value.
    pub(super) setting: Option<&'static str>,
}

impl ExplainedChange {
    pub(super) fn of(
        change: &Change<'_>,
        profiles: Option<(&Profile, EffectiveProfile<'_>)>,
        sources: &ProfileSources<'_>,
        kept_user: Option<i64>,
    ) -> ExplainedChange {
        let Parts {
            place,
            container,
            field,
            action,
            value,
            was,
            ..
        } = change.parts();
        let is_kept_user = change.sets_kept_user(kept_user);
        let profile = profiles.and_then(|(profile, effective)| {
            if is_kept_user {
                return Some(sources.at(profile, &["keepUser"]));
            }
            let path = change.path(&effective)?;
            // Without a field for it, the volume exists because a container has a HOME.
            let mut all = profile.containers.all();
            Some(match all.find(|(_, rules)| rules.home) {
                Some((scope, _)) if path == ["home"] && !sources.says(profile, &path) => {
                    sources.at(profile, &[scope.path(), vec!["home"]].concat())
                }
                _ => sources.at(profile, &path),
            })
        });
        let setting = profiles.and_then(|(_, effective)| change.setting(&effective));
        let setting = setting.filter(|_| !is_kept_user);
        ExplainedChange {
            place: place.to_string(),
            container: container.map(Cow::into_owned),
            field: field.to_string(),
            action: match action {
                Action::Set => "set",
                Action::Add => "add",
                Action::Remove => "remove",
            },
            value: value.map(Cow::into_owned),
            was: was.map(Cow::into_owned),
            rule: match &profile {
                Some(place) if is_kept_user || matches!(change.by, By::Home(_)) => {
                    place.field.clone()
                }
                _ => change.by.to_string(),
            },
            profile,
            setting: setting.map(|setting| setting.annotation()),
        }
    }
}
