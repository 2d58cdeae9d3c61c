//! A change in its parts, for a table.

use std::borrow::Cow;

use super::change::{By, Change, Kind, Names, old_value};
use crate::pod::field::{Field, Scalar};
use crate::pod::place::Place;
use crate::profile::{EffectiveProfile, Medium, Setting};
use crate::text::{Text, unquoted};

/// The parts of a change. All texts are escaped and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// `pod`, `container` or `init container`.
    pub place: String,
    /// The container's name; none for the pod.
    pub container: Option<String>,
    /// The field, as in the sentence.
    pub field: String,
    /// The field's name in the sentence, if it differs.
    pub(crate) subject: Option<String>,
    /// What is done to it.
    pub action: Action,
    /// The action in words, between the field and the value.
    pub(crate) verb: &'static str,
    /// What it becomes, gains or loses.
    pub value: Option<String>,
    /// The old value; for a variable other than HOME, only that there was one.
    pub was: Option<String>,
}

/// What most changes do.
const SET: (Action, &str) = (Action::Set, " set to ");

/// What is done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It gets a value.
    Set,
    /// Something is added to it.
    Add,
    /// It loses something, or is removed.
    Remove,
}

impl Change<'_> {
    /// Its parts.
    pub fn parts(&self) -> Parts {
        use Action::{Add, Remove};
        let text = |text: &Text<'_>| unquoted(text).into_owned();
        let scalar = |scalar: &Scalar<'_>| scalar.to_string();
        let mut subject = None;
        let (field, (action, verb), value, was) = match &self.kind {
            Kind::Annotation { key, value, was } => {
                let field = format!("annotation {}", unquoted(key));
                (field, SET, Some(text(value)), was.as_ref().map(text))
            }
            Kind::HostUsers { value, was } => {
                let was = was.map(|was| was.to_string());
                ("hostUsers".to_owned(), SET, Some(value.to_string()), was)
            }
            Kind::SecurityContext { field, value, was } => {
                let (parent, key) = field.key();
                let path = ["securityContext"].into_iter().chain(parent).chain([key]);
                let path = path.collect::<Vec<_>>().join(".");
                let done = if value.is_some() {
                    SET
                } else {
                    (Remove, " removed")
                };
                (
                    path,
                    done,
                    value.as_ref().map(scalar),
                    was.as_ref().map(scalar),
                )
            }
            Kind::CapabilitiesAdded { list, names } => {
                let field = format!("securityContext.capabilities.{}", list.key());
                (
                    field,
                    (Add, " gains "),
                    Some(Names(names).to_string()),
                    None,
                )
            }
            Kind::CapabilitiesRemoved { list, names } => {
                let field = format!("securityContext.capabilities.{}", list.key());
                (
                    field,
                    (Remove, " loses "),
                    Some(Names(names).to_string()),
                    None,
                )
            }
            Kind::Env { var, value, was } => {
                let was = was.as_ref().map(|old| old_value(var, old.as_ref()));
                let was = was.map(Cow::into_owned);
                (
                    format!("env {}", unquoted(var)),
                    SET,
                    Some(text(value)),
                    was,
                )
            }
            Kind::Limit {
                resource,
                value,
                was,
            } => {
                let field = format!("resources.limits {}", unquoted(resource));
                (field, SET, Some(text(value)), was.as_ref().map(text))
            }
            Kind::Volume { name, empty_dir } => {
                subject = Some(format!("volume {}", unquoted(name)));
                let memory = empty_dir.medium.map(|Medium::Memory| " in memory");
                let limit = empty_dir
                    .size_limit
                    .map(|limit| format!(" of at most {limit}"));
                let (memory, limit) = (memory.unwrap_or_default(), limit.unwrap_or_default());
                let value = format!("emptyDir{memory}{limit}");
                let field = format!("volumes {}", unquoted(name));
                (field, (Add, " added, an "), Some(value), None)
            }
            Kind::RuntimeClass { value, was } => {
                let (value, was) = (unquoted(value).into_owned(), was.as_ref().map(text));
                ("runtimeClassName".to_owned(), SET, Some(value), was)
            }
            Kind::NodeSelector { key, value, was } => {
                let field = format!("nodeSelector {}", unquoted(key));
                let (value, was) = (unquoted(value).into_owned(), was.as_ref().map(text));
                (field, SET, Some(value), was)
            }
            Kind::Toleration(toleration) => (
                "tolerations".to_owned(),
                (Add, " gains "),
                // The check of the profile leaves only plain text in it.
                Some(toleration.to_string()),
                None,
            ),
            Kind::Groups(groups) => {
                let groups: Vec<_> = groups.iter().map(i64::to_string).collect();
                (
                    "securityContext.supplementalGroups".to_owned(),
                    (Add, " gains "),
                    Some(groups.join(", ")),
                    None,
                )
            }
            Kind::Mount { volume, path } => {
                subject = Some(format!("volume {}", unquoted(volume)));
                let field = format!("volumeMounts {}", unquoted(volume));
                (field, (Add, " mounted at "), Some(text(path)), None)
            }
        };
        Parts {
            place: self.place.to_string(),
            container: (self.place != Place::Pod).then(|| unquoted(&self.name).into_owned()),
            field,
            subject,
            action,
            verb,
            value,
            was,
        }
    }

    /// The path of the field in `profile` that requires the change; none where no
    /// field does. A limit is in the path by the name that the profile has for it.
    pub fn path<'c>(&'c self, profile: &EffectiveProfile<'c>) -> Option<Vec<&'c str>> {
        let mut path = self.by.path()?;
        match &self.kind {
            Kind::Annotation { key, .. } => path.extend(["annotations", key]),
            Kind::HostUsers { .. } => path.push("hostUsers"),
            Kind::SecurityContext { field, .. } => {
                let (parent, key) = field.key();
                path.push("securityContext");
                path.extend(parent.into_iter().chain([key]));
            }
            Kind::CapabilitiesAdded { list, .. } => path.push(list.key()),
            // It is removed from one list because it is in the other.
            Kind::CapabilitiesRemoved { .. } => {}
            Kind::Env { .. } if matches!(self.by, By::Home(_)) => {}
            Kind::Env { var, .. } => path.extend(["env", var]),
            Kind::Limit { resource: name, .. } => {
                let name = profile.original_limit(name).unwrap_or(name);
                path.extend(["resources", "limits", name]);
            }
            Kind::RuntimeClass { .. } => path.push("runtimeClassName"),
            Kind::NodeSelector { key, .. } => path.extend(["nodeSelector", key]),
            Kind::Toleration(_) => path.push("tolerations"),
            Kind::Groups(_) => path.extend(["securityContext", "supplementalGroups"]),
            Kind::Volume { .. } | Kind::Mount { .. } => {}
        }
        Some(path)
    }

    /// The user other than root that the profile's rules set.
    fn user(&self) -> Option<i64> {
        match (&self.by, &self.kind) {
            (
                By::Pod(_) | By::Container(..),
                Kind::SecurityContext {
                    field: Field::RunAsUser,
                    value: Some(Scalar::Int(user @ 1..)),
                    ..
                },
            ) => Some(*user),
            _ => None,
        }
    }

    /// Whether it sets the user that `build` keeps.
    pub fn sets_kept_user(&self, kept: Option<i64>) -> bool {
        kept.is_some() && self.user() == kept
    }

    /// The setting of the namespace that determines the value of the change.
    pub fn setting(&self, profile: &EffectiveProfile<'_>) -> Option<Setting> {
        let setting = match &self.kind {
            _ if self.user().is_some() => Setting::RunAsUser,
            Kind::Env { .. } | Kind::Mount { .. } if matches!(self.by, By::Home(_)) => {
                Setting::Home
            }
            Kind::Volume { .. }
                if matches!(self.by, By::Home(_) | By::JobsHome | By::EmptyDirs(_)) =>
            {
                Setting::HomeSize
            }
            Kind::Limit { resource, .. } if profile.original_limit(resource).is_some() => {
                Setting::FuseResource
            }
            _ => return None,
        };
        profile.is_overridden(setting).then_some(setting)
    }
}
