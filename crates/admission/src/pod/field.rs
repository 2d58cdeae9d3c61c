//! The fields of `securityContext` that podseal changes, and their values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use super::object::absent;
use crate::text::{Text, quoted, unquoted};

/// `seccompProfile` and `appArmorProfile`: one shape, two mechanisms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Confinement<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "absent")]
    pub type_: Text<'a>,
    #[serde(borrow)]
    pub localhost_profile: Option<Text<'a>>,
}

impl Confinement<'_> {
    /// Whether it confines the container, by any profile.
    pub fn confines(&self) -> bool {
        matches!(&*self.type_, "RuntimeDefault" | "Localhost")
    }
}

/// A field of `securityContext`, as both a profile and a pod have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in Kubernetes")]
pub enum Field {
    Privileged,
    AllowPrivilegeEscalation,
    RunAsUser,
    RunAsGroup,
    RunAsNonRoot,
    ReadOnlyRootFilesystem,
    ProcMount,
    SeLinuxType,
    SeccompProfile,
    AppArmorProfile,
    FsGroup,
    FsGroupChangePolicy,
}

/// The value of a [`Field`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "named for the type of the value")]
pub enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Text(Text<'a>),
    Confinement(Confinement<'a>),
}

impl Field {
    /// Every field, in the order of changes.
    pub const ALL: [Field; 12] = [
        Field::Privileged,
        Field::AllowPrivilegeEscalation,
        Field::RunAsUser,
        Field::RunAsGroup,
        Field::RunAsNonRoot,
        Field::ReadOnlyRootFilesystem,
        Field::ProcMount,
        Field::SeLinuxType,
        Field::SeccompProfile,
        Field::AppArmorProfile,
        Field::FsGroup,
        Field::FsGroupChangePolicy,
    ];

    /// The object within `securityContext` that has the field, if not
    /// `securityContext` itself, and the field's key.
    pub fn key(self) -> (Option<&'static str>, &'static str) {
        match self {
            Field::Privileged => (None, "privileged"),
            Field::AllowPrivilegeEscalation => (None, "allowPrivilegeEscalation"),
            Field::RunAsUser => (None, "runAsUser"),
            Field::RunAsGroup => (None, "runAsGroup"),
            Field::RunAsNonRoot => (None, "runAsNonRoot"),
            Field::ReadOnlyRootFilesystem => (None, "readOnlyRootFilesystem"),
            Field::ProcMount => (None, "procMount"),
            Field::SeLinuxType => (Some("seLinuxOptions"), "type"),
            Field::SeccompProfile => (None, "seccompProfile"),
            Field::AppArmorProfile => (None, "appArmorProfile"),
            Field::FsGroup => (None, "fsGroup"),
            Field::FsGroupChangePolicy => (None, "fsGroupChangePolicy"),
        }
    }
}

impl<'a> Scalar<'a> {
    pub(crate) fn bool(self) -> Option<bool> {
        if let Scalar::Bool(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(crate) fn int(self) -> Option<i64> {
        if let Scalar::Int(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(crate) fn text(self) -> Option<Text<'a>> {
        if let Scalar::Text(value) = self {
            Some(value)
        } else {
            None
        }
    }

    pub(crate) fn confinement(self) -> Option<Confinement<'a>> {
        if let Scalar::Confinement(value) = self {
            Some(value)
        } else {
            None
        }
    }
}

impl Scalar<'_> {
    /// The value in a message.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        match self {
            Scalar::Bool(true) => "true".into(),
            Scalar::Bool(false) => "false".into(),
            Scalar::Int(value) => value.to_string().into(),
            Scalar::Text(value) => unquoted(value),
            Scalar::Confinement(value) => {
                let kind = unquoted(&value.type_);
                match &value.localhost_profile {
                    Some(profile) => format!("{kind} {}", quoted(profile)).into(),
                    None => kind,
                }
            }
        }
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}
