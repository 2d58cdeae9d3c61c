//! The labels of a namespace, and how their values are parsed.

use crate::text::quoted;

/// The namespace label that opts in, and names the profile.
pub const PROFILE: &str = "podseal.io/profile";
/// The namespace label with the level that every pod must meet.
pub const LEVEL: &str = "podseal.io/level";
/// The namespace label with the mode: what happens to a pod that violates the
/// level.
pub const MODE: &str = "podseal.io/mode";
/// The namespace label that denies what may keep a job from running
/// ([`crate::cautions`]).
pub const STRICT: &str = "podseal.io/strict";

/// A label of a namespace that podseal reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// [`PROFILE`]
    Profile,
    /// [`LEVEL`]
    Level,
    /// [`MODE`]
    Mode,
    /// [`STRICT`]
    Strict,
}

impl Label {
    /// Every label.
    pub const ALL: [Label; 4] = [Label::Profile, Label::Level, Label::Mode, Label::Strict];

    /// Its key.
    pub const fn key(self) -> &'static str {
        match self {
            Label::Profile => PROFILE,
            Label::Level => LEVEL,
            Label::Mode => MODE,
            Label::Strict => STRICT,
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A label of the namespace.
    Label,
    /// An annotation of the namespace.
    Annotation,
    /// The namespace rule of this name.
    Rule(&'a str),
    /// Neither, so the default of podseal or of the profile applies.
    Default,
}

/// A value as it is set.
pub(super) enum Stated<T> {
    /// Nothing.
    Unset,
    /// One of the known values.
    Valid(T),
    /// Anything else.
    Invalid,
}

/// The value of a label among `known`, with a warning if it is invalid.
pub(super) fn parse<T: Copy>(
    label: Label,
    (value, source): (Option<&str>, Source<'_>),
    known: &[(&str, T)],
    warnings: &mut Vec<String>,
) -> Stated<T> {
    let Some(value) = value else {
        return Stated::Unset;
    };
    if let Some((_, known)) = known.iter().find(|(name, _)| *name == value) {
        return Stated::Valid(*known);
    }
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    warnings.push(format!(
        "{}{}: {} is not one of {}, so the strictest applies",
        match source {
            Source::Rule(_) => "namespace rule, ",
            _ => "label ",
        },
        label.key(),
        quoted(value),
        names.join(", ")
    ));
    Stated::Invalid
}
