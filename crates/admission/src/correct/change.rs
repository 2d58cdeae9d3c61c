//! One change to a pod, shown as a sentence.
//!
//! A new kind of change is one variant of `Kind`; the exhaustive matches find
//! the rest.

use std::borrow::Cow;
use std::fmt;

use crate::pod::field::{Field, Scalar};
use crate::pod::place::Place;
use crate::profile::effective::EmptyDir;
use crate::profile::{Scope, Toleration};
use crate::text::{Text, unquoted};

/// A change to a field of a pod.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    pub(crate) place: Place,
    /// Which rule makes it.
    pub by: By<'a>,
    /// The container's name; empty for the pod.
    pub(crate) name: Text<'a>,
    pub(crate) kind: Kind<'a>,
}

/// Which rule makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// The profile's rules for the pod itself.
    Pod(Part),
    /// Its rules for some containers.
    Container(Scope<'a>, Part),
    /// The HOME rule, with the profile's path, for these containers; none for the volume.
    Home(Option<Scope<'a>>),
    /// The HOME rule, with the path that the job itself sets.
    JobsHome,
    /// The rule for other volumes, for these containers.
    EmptyDirs(Scope<'a>),
    /// The level `restricted`.
    Restricted,
    /// The uid collector runs as the same user as `build`.
    Collector,
    /// podseal itself, which marks what it corrected.
    Mark,
}

/// Which part of a profile's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What overrides the pod's values.
    Set,
    /// What applies if the pod has no value.
    IfUnset,
    /// Capabilities, merged.
    Capabilities,
}

impl Part {
    fn key(self) -> &'static str {
        match self {
            Part::Set => "set",
            Part::IfUnset => "ifUnset",
            Part::Capabilities => "capabilities",
        }
    }
}

impl<'a> By<'a> {
    /// The path in the profile; none, if the change is not from a profile.
    pub fn path(self) -> Option<Vec<&'a str>> {
        match self {
            By::Pod(part) => Some(vec!["pod", part.key()]),
            By::Container(scope, part) => Some([scope.path(), vec![part.key()]].concat()),
            By::Home(None) => Some(vec!["home"]),
            By::Home(Some(scope)) => Some([scope.path(), vec!["home"]].concat()),
            By::EmptyDirs(scope) => Some([scope.path(), vec!["emptyDirs"]].concat()),
            By::JobsHome | By::Restricted | By::Collector | By::Mark => None,
        }
    }
}

impl fmt::Display for By<'_> {
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
pub(crate) enum Kind<'a> {
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
        empty_dir: EmptyDir<'a>,
    },
    Mount {
        volume: Text<'a>,
        path: Text<'a>,
    },
    RuntimeClass {
        value: &'a str,
        was: Option<Text<'a>>,
    },
    NodeSelector {
        key: &'a str,
        value: &'a str,
        was: Option<Text<'a>>,
    },
    Toleration(&'a Toleration),
    Groups(Vec<i64>),
}

/// Which of the two lists in `capabilities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in Kubernetes")]
pub enum CapabilityList {
    Add,
    Drop,
}

impl CapabilityList {
    /// Its key in `capabilities`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            CapabilityList::Add => "add",
            CapabilityList::Drop => "drop",
        }
    }
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        write!(f, "{}", parts.place)?;
        if let Some(container) = &parts.container {
            f.write_str(" ")?;
            f.write_str(container)?;
        }
        f.write_str(": ")?;
        parts.field.write_in_sentence(f)?;
        f.write_str(parts.verb)?;
        if let Some(value) = &parts.value {
            f.write_str(if value.is_empty() { r#""""# } else { value })?;
        }
        match &parts.was {
            Some(was) => write!(f, " (was {was})"),
            None => Ok(()),
        }
    }
}

/// The old value of a variable, as messages show it. Only that of HOME is shown:
/// any other may be a secret of the job's.
pub(crate) fn old_value<'t>(var: &str, old: Option<&'t Text<'_>>) -> Cow<'t, str> {
    match old {
        Some(value) if var == "HOME" => unquoted(value),
        Some(_) => "another value".into(),
        None => "not a literal value".into(),
    }
}

/// Names in one line.
pub(crate) struct Names<'s, 'a>(pub(crate) &'s [Text<'a>]);

/// How many names a sentence lists.
const NAMES: usize = 16;

impl fmt::Display for Names<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().take(NAMES).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", unquoted(name))?;
        }
        match self.0.len().checked_sub(NAMES) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
