//! One change to a pod, as a sentence for people.
//!
//! A new kind of change is one variant of `Kind`; the exhaustive matches find
//! the rest.

use std::borrow::Cow;
use std::fmt;

use super::job::Role;
use super::pod::{List, Place};
use super::profile::{Home, Medium};
use super::security_context::{Field, Scalar};
use super::text::{Text, quoted, word};

/// What is changed, as a person would say it.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    pub(super) place: Place,
    /// Who asks for it.
    pub by: By,
    /// The container's name; empty for the pod.
    pub(super) name: Text<'a>,
    pub(super) kind: Kind<'a>,
}

/// Which rule asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// What the profile says of the pod itself.
    Pod(Part),
    /// What it says of a role's containers.
    Container(Role, Part),
    /// The HOME rule, with the profile's path.
    Home,
    /// The HOME rule, with the path that the job itself says.
    JobsHome,
    /// The level `restricted`.
    Restricted,
    /// The user collector, which is to be as `build` is.
    Collector,
    /// podseal itself, which marks what it corrected.
    Mark,
}

/// Which part of a profile's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What wins over the pod.
    Set,
    /// What fills in where the pod says nothing.
    Default,
    /// Capabilities, merged.
    Capabilities,
}

impl Part {
    fn key(self) -> &'static str {
        match self {
            Part::Set => "set",
            Part::Default => "default",
            Part::Capabilities => "capabilities",
        }
    }
}

impl By {
    /// The place in the profile, from its top; nothing, where no profile says it.
    pub fn path(self) -> Option<Vec<&'static str>> {
        match self {
            By::Pod(part) => Some(vec!["pod", part.key()]),
            By::Container(role, part) => Some(vec!["containers", role.key(), part.key()]),
            By::Home => Some(vec!["home"]),
            By::JobsHome | By::Restricted | By::Collector | By::Mark => None,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.path()) {
            (_, Some(path)) => f.write_str(&path.join(".")),
            (By::JobsHome, None) => f.write_str("the job's own HOME"),
            (By::Mark, None) => f.write_str("podseal's mark"),
            (By::Collector, None) => f.write_str("the collector follows build"),
            (_, None) => f.write_str("the level restricted"),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Kind<'a> {
    Annotation {
        key: Text<'a>,
        value: Text<'a>,
        was: Option<Text<'a>>,
    },
    HostUsers {
        value: bool,
        was: Option<bool>,
    },
    SecurityContext {
        field: Field,
        value: Option<Scalar<'a>>,
        was: Option<Scalar<'a>>,
    },
    CapabilitiesAdded {
        list: CapabilityList,
        names: Vec<Text<'a>>,
    },
    CapabilitiesRemoved {
        list: CapabilityList,
        names: Vec<Text<'a>>,
    },
    Env {
        var: Text<'a>,
        value: Text<'a>,
        was: Option<Option<Text<'a>>>,
    },
    Limit {
        resource: Text<'a>,
        value: Text<'a>,
        was: Option<Text<'a>>,
    },
    Volume {
        name: Text<'a>,
        home: &'a Home,
    },
    Mount {
        volume: Text<'a>,
        path: Text<'a>,
    },
}

/// Which of the two lists in `capabilities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CapabilityList {
    Add,
    Drop,
}

impl CapabilityList {
    /// Its key in `capabilities`.
    pub(super) fn key(self) -> &'static str {
        match self {
            CapabilityList::Add => "add",
            CapabilityList::Drop => "drop",
        }
    }
}

impl fmt::Display for Place {
    /// The word for the place; the container's name follows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Pod => "pod",
            Place::Container(List::Init, _) => "init container",
            Place::Container(List::Regular, _) => "container",
            Place::Container(List::Ephemeral, _) => "ephemeral container",
        })
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Int(value) => value.fmt(f),
            Scalar::Text(value) => f.write_str(&word(value)),
            Scalar::Confinement(value) => {
                f.write_str(&word(&value.type_))?;
                match &value.localhost_profile {
                    Some(profile) => write!(f, " {}", quoted(profile)),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Pod => f.write_str("pod: ")?,
            place => write!(f, "{place} {}: ", word(&self.name))?,
        }
        match &self.kind {
            Kind::Annotation { key, value, was } => {
                let (key, value) = (word(key), word(value));
                write!(
                    f,
                    "annotation {key} set to {value}{}",
                    Was(was.as_ref().map(|t| word(t)))
                )
            }
            Kind::HostUsers { value, was } => {
                write!(f, "hostUsers set to {value}{}", Was(was.as_ref()))
            }
            Kind::SecurityContext { field, value, was } => {
                let (parent, key) = field.key();
                f.write_str("securityContext.")?;
                if let Some(parent) = parent {
                    write!(f, "{parent}.")?;
                }
                match value {
                    Some(value) => write!(f, "{key} set to {value}{}", Was(was.as_ref())),
                    None => write!(f, "{key} removed{}", Was(was.as_ref())),
                }
            }
            Kind::CapabilitiesAdded { list, names } => {
                write!(
                    f,
                    "securityContext.capabilities.{} gains {}",
                    list.key(),
                    Names(names)
                )
            }
            Kind::CapabilitiesRemoved { list, names } => {
                write!(
                    f,
                    "securityContext.capabilities.{} loses {}",
                    list.key(),
                    Names(names)
                )
            }
            Kind::Env { var, value, was } => {
                let was = was.as_ref().map(|old| old_value(var, old.as_ref()));
                write!(f, "env {} set to {}{}", word(var), word(value), Was(was))
            }
            Kind::Limit {
                resource,
                value,
                was,
            } => {
                let (resource, value) = (word(resource), word(value));
                let was = was.as_ref().map(|t| word(t));
                write!(f, "resources.limits {resource} set to {value}{}", Was(was))
            }
            Kind::Volume { name, home } => {
                write!(f, "volume {} added, an emptyDir", word(name))?;
                if let Some(Medium::Memory) = home.medium {
                    f.write_str(" in memory")?;
                }
                match &home.size_limit {
                    Some(limit) => write!(f, " of at most {limit}"),
                    None => Ok(()),
                }
            }
            Kind::Mount { volume, path } => {
                write!(f, "volume {} mounted at {}", word(volume), word(path))
            }
        }
    }
}

/// What a variable was, for others to read. Only of HOME is it told: any other may
/// be a secret of the job's.
pub(super) fn old_value<'t>(var: &str, old: Option<&'t Text<'_>>) -> Cow<'t, str> {
    match old {
        Some(value) if var == "HOME" => word(value),
        Some(_) => "something else".into(),
        None => "from elsewhere".into(),
    }
}

struct Was<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Was<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(was) => write!(f, " (was {was})"),
            None => Ok(()),
        }
    }
}

struct Names<'s, 'a>(&'s [Text<'a>]);

/// How many names a sentence lists.
const NAMES: usize = 16;

impl fmt::Display for Names<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().take(NAMES).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", word(name))?;
        }
        match self.0.len().checked_sub(NAMES) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
