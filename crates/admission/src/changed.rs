//! A change in its parts, for whoever shows many of them in a table.

use super::change::{By, Change, Kind, old_value};
use super::job::Role;
use super::pod::Place;
use super::profile::Medium;
use super::text::word;

/// A change, taken apart. All texts are escaped and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// `pod`, `container` or `init container`.
    pub place: String,
    /// The container's name; none for the pod.
    pub container: Option<String>,
    /// The field, as in the sentence.
    pub field: String,
    /// What is done to it.
    pub action: Action,
    /// What it becomes, gains or loses.
    pub value: Option<String>,
    /// What it was; of a variable but HOME, that it was something.
    pub was: Option<String>,
}

/// What is done to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It gets a value.
    Set,
    /// It gains what was not there.
    Add,
    /// It loses something, or goes.
    Remove,
}

/// How many names of capabilities are told.
const NAMES: usize = 16;

impl Change<'_> {
    /// Its parts.
    pub fn parts(&self) -> Parts {
        use Action::{Add, Remove, Set};
        let (field, action, value, was) = match &self.kind {
            Kind::Annotation { key, value, was } => {
                let was = was.as_ref().map(|was| word(was).into_owned());
                (
                    format!("annotation {}", word(key)),
                    Set,
                    Some(word(value).into_owned()),
                    was,
                )
            }
            Kind::HostUsers { value, was } => {
                let was = was.map(|was| was.to_string());
                ("hostUsers".to_owned(), Set, Some(value.to_string()), was)
            }
            Kind::SecurityContext { field, value, was } => {
                let (parent, key) = field.key();
                let path = ["securityContext"].into_iter().chain(parent).chain([key]);
                let path: Vec<_> = path.collect();
                let action = if value.is_some() { Set } else { Remove };
                let text = |scalar: &super::security_context::Scalar<'_>| scalar.to_string();
                let (value, was) = (value.as_ref().map(text), was.as_ref().map(text));
                (path.join("."), action, value, was)
            }
            Kind::CapabilitiesAdded { list, names } | Kind::CapabilitiesRemoved { list, names } => {
                let action = match &self.kind {
                    Kind::CapabilitiesAdded { .. } => Add,
                    _ => Remove,
                };
                let mut told: Vec<_> = names.iter().take(NAMES).map(|name| word(name)).collect();
                if names.len() > NAMES {
                    told.push("…".into());
                }
                let field = format!("securityContext.capabilities.{}", list.key());
                (field, action, Some(told.join(", ")), None)
            }
            Kind::Env { var, value, was } => {
                let was = was
                    .as_ref()
                    .map(|old| old_value(var, old.as_ref()).into_owned());
                (
                    format!("env {}", word(var)),
                    Set,
                    Some(word(value).into_owned()),
                    was,
                )
            }
            Kind::Limit {
                resource,
                value,
                was,
            } => {
                let was = was.as_ref().map(|was| word(was).into_owned());
                let field = format!("resources.limits {}", word(resource));
                (field, Set, Some(word(value).into_owned()), was)
            }
            Kind::Volume { name, home } => {
                let memory = home.medium.map(|Medium::Memory| " in memory");
                let limit = home.size_limit.as_deref();
                let limit = limit.map(|limit| format!(" of at most {limit}"));
                let (memory, limit) = (memory.unwrap_or_default(), limit.unwrap_or_default());
                let value = format!("emptyDir{memory}{limit}");
                (format!("volumes {}", word(name)), Add, Some(value), None)
            }
            Kind::Mount { volume, path } => {
                let field = format!("volumeMounts {}", word(volume));
                (field, Add, Some(word(path).into_owned()), None)
            }
        };
        Parts {
            place: self.place.to_string(),
            container: (self.place != Place::Pod).then(|| word(&self.name).into_owned()),
            field,
            action,
            value,
            was,
        }
    }

    /// Where a profile says what asks for it, from the profile's top; nothing,
    /// where no profile does. A limit has the name that `resource` makes of its own.
    pub fn path<'c>(&'c self, resource: impl Fn(&'c str) -> &'c str) -> Option<Vec<&'c str>> {
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
            // What one list gains, the other loses.
            Kind::CapabilitiesRemoved { .. } => {}
            Kind::Env { .. } | Kind::Mount { .. } if self.by == By::Home => {
                if let Place::Container(list, _) = self.place {
                    let role = Role::of(list, &self.name);
                    path = vec!["containers", role.key(), "home"];
                }
            }
            Kind::Env { var, .. } => path.extend(["env", var]),
            Kind::Limit { resource: name, .. } => {
                path.extend(["resources", "limits", resource(name)]);
            }
            Kind::Volume { .. } | Kind::Mount { .. } => {}
        }
        Some(path)
    }
}
