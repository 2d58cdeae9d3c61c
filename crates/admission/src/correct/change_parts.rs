//! A change in its parts, for a table.

use std::borrow::Cow;
use std::fmt;

use super::change::{By, CapabilityList, Change, Kind, Names, old_value};
use crate::pod::field::{Field, Scalar};
use crate::pod::place::Place;
use crate::profile::{EffectiveProfile, Medium, Setting};
use crate::text::{Text, unquoted};

/// The parts of a change. All texts are escaped and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'c> {
    /// The pod, or what kind of container.
    pub place: Place,
    /// The container's name; none for the pod.
    pub container: Option<Cow<'c, str>>,
    /// The field.
    pub field: FieldName<'c>,
    /// What is done to it.
    pub action: Action,
    /// The action in words, between the field and the value.
    pub(crate) verb: &'static str,
    /// What it becomes, gains or loses.
    pub value: Option<Cow<'c, str>>,
    /// The old value; for a variable other than HOME, only that there was one.
    pub was: Option<Cow<'c, str>>,
}

/// The name of a field that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldName<'c> {
    /// Any field.
    Path(&'static str),
    /// A field of `securityContext`.
    SecurityContext(Field),
    /// A list of `capabilities`.
    Capabilities(CapabilityList),
    /// An entry of a map or a list.
    Entry {
        /// The map or the list.
        of: &'static str,
        /// What an entry is called in a sentence.
        noun: &'static str,
        /// The entry's name.
        name: Cow<'c, str>,
    },
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

impl<'c> FieldName<'c> {
    fn entry(of: &'static str, noun: &'static str, name: &'c str) -> FieldName<'c> {
        let name = unquoted(name);
        FieldName::Entry { of, noun, name }
    }

    pub(crate) fn write_in_sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldName::Entry { noun, name, .. } => write_all(f, [noun, " ", name]),
            _ => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for FieldName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldName::Path(path) => f.write_str(path),
            FieldName::SecurityContext(field) => match field.key() {
                (None, key) => write_all(f, ["securityContext.", key]),
                (Some(parent), key) => write_all(f, ["securityContext.", parent, ".", key]),
            },
            FieldName::Capabilities(list) => {
                write_all(f, ["securityContext.capabilities.", list.key()])
            }
            FieldName::Entry { of, name, .. } => write_all(f, [of, " ", name]),
        }
    }
}

/// Writes the texts, without the cost of `write!`: a review has twenty changes, and each is
/// shown twice.
fn write_all<const N: usize>(f: &mut fmt::Formatter<'_>, texts: [&str; N]) -> fmt::Result {
    texts.into_iter().try_for_each(|text| f.write_str(text))
}

impl Change<'_> {
    /// Its parts.
    pub fn parts(&self) -> Parts<'_> {
        let (field, (action, verb), value, was) = self.kind.parts();
        Parts {
            place: self.place,
            container: (self.place != Place::Pod).then(|| unquoted(&self.name)),
            field,
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

type Shown<'c> = Option<Cow<'c, str>>;

impl Kind<'_> {
    fn parts(&self) -> (FieldName<'_>, (Action, &'static str), Shown<'_>, Shown<'_>) {
        use Action::{Add, Remove};
        fn old<'c>(was: &'c Option<Text<'_>>) -> Shown<'c> {
            was.as_ref().map(|was| unquoted(was))
        }
        let bool = |value: bool| if value { "true" } else { "false" };
        match self {
            Kind::Annotation { key, value, was } => {
                let field = FieldName::entry("annotation", "annotation", key);
                (field, SET, Some(unquoted(value)), old(was))
            }
            Kind::HostUsers { value, was } => {
                let was = was.map(|was| bool(was).into());
                let field = FieldName::Path("hostUsers");
                (field, SET, Some(bool(*value).into()), was)
            }
            Kind::SecurityContext { field, value, was } => {
                let field = FieldName::SecurityContext(*field);
                let was = was.as_ref().map(Scalar::shown);
                match value {
                    Some(value) => (field, SET, Some(value.shown()), was),
                    None => (field, (Remove, " removed"), None, was),
                }
            }
            Kind::CapabilitiesAdded { list, names } => {
                let field = FieldName::Capabilities(*list);
                let names = Names(names).to_string();
                (field, (Add, " gains "), Some(names.into()), None)
            }
            Kind::CapabilitiesRemoved { list, names } => {
                let field = FieldName::Capabilities(*list);
                let names = Names(names).to_string();
                (field, (Remove, " loses "), Some(names.into()), None)
            }
            Kind::Env { var, value, was } => {
                let was = was.as_ref().map(|old| old_value(var, old.as_ref()));
                let field = FieldName::entry("env", "env", var);
                (field, SET, Some(unquoted(value)), was)
            }
            Kind::Limit {
                resource,
                value,
                was,
            } => {
                let field = FieldName::entry("resources.limits", "resources.limits", resource);
                (field, SET, Some(unquoted(value)), old(was))
            }
            Kind::Volume { name, empty_dir } => {
                let field = FieldName::entry("volumes", "volume", name);
                let memory = empty_dir.medium.map(|Medium::Memory| " in memory");
                let limit = empty_dir
                    .size_limit
                    .map(|limit| format!(" of at most {limit}"));
                let (memory, limit) = (memory.unwrap_or_default(), limit.unwrap_or_default());
                let value = format!("emptyDir{memory}{limit}");
                (field, (Add, " added, an "), Some(value.into()), None)
            }
            Kind::RuntimeClass { value, was } => {
                let field = FieldName::Path("runtimeClassName");
                (field, SET, Some(unquoted(value)), old(was))
            }
            Kind::NodeSelector { key, value, was } => {
                let field = FieldName::entry("nodeSelector", "nodeSelector", key);
                (field, SET, Some(unquoted(value)), old(was))
            }
            Kind::Toleration(toleration) => {
                let field = FieldName::Path("tolerations");
                // The check of the profile leaves only plain text in it.
                let toleration = toleration.to_string();
                (field, (Add, " gains "), Some(toleration.into()), None)
            }
            Kind::Groups(groups) => {
                let field = FieldName::Path("securityContext.supplementalGroups");
                let groups: Vec<_> = groups.iter().map(i64::to_string).collect();
                let groups = groups.join(", ");
                (field, (Add, " gains "), Some(groups.into()), None)
            }
            Kind::Mount { volume, path } => {
                let field = FieldName::entry("volumeMounts", "volume", volume);
                (field, (Add, " mounted at "), Some(unquoted(path)), None)
            }
        }
    }
}
