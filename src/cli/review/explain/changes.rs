//! Each change, and the rule behind it.

use serde::Serialize;

use super::profile_sources::{FieldSource, ProfileSources};
use admission::correct::change::{By, Change};
use admission::correct::change_parts::{Action, Parts};
use admission::gitlab::role::Role;
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
        let profile = profiles.and_then(|(profile, effective)| {
            let path = change.path(&effective)?;
            // Without a field for it, the volume exists because a container has a HOME.
            let mut roles = Role::ALL.into_iter();
            Some(
                match roles.find(|role| profile.containers.role(*role).home) {
                    Some(role) if path == ["home"] && !sources.says(profile, &path) => {
                        sources.at(profile, &["containers", role.key(), "home"])
                    }
                    _ => sources.at(profile, &path),
                },
            )
        });
        let setting = profiles.and_then(|(_, effective)| change.setting(&effective));
        ExplainedChange {
            place,
            container,
            field,
            action: match action {
                Action::Set => "set",
                Action::Add => "add",
                Action::Remove => "remove",
            },
            value,
            was,
            rule: match &profile {
                Some(place) if change.by == By::Home => place.field.clone(),
                _ => change.by.to_string(),
            },
            profile,
            setting: setting.map(|setting| setting.annotation()),
        }
    }
}
