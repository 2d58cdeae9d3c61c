//! The labels of a namespace.

/// The namespace label that opts in, and names the profile.
pub const PROFILE: &str = "podseal.io/profile";
/// The namespace label with the level that every pod must meet.
pub const LEVEL: &str = "podseal.io/level";
/// The namespace label with the mode: what happens to a pod that violates the
/// level.
pub const MODE: &str = "podseal.io/mode";

/// A label of a namespace that podseal reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// [`PROFILE`]
    Profile,
    /// [`LEVEL`]
    Level,
    /// [`MODE`]
    Mode,
}

impl Label {
    /// Every label.
    pub const ALL: [Label; 3] = [Label::Profile, Label::Level, Label::Mode];

    /// Its key.
    pub const fn key(self) -> &'static str {
        match self {
            Label::Profile => PROFILE,
            Label::Level => LEVEL,
            Label::Mode => MODE,
        }
    }
}
