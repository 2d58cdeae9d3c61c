//! The mode of a namespace.

use serde::Deserialize;

use super::label::{Label, Source, Stated, parse};

/// What happens to a pod that violates the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is rejected.
    Enforce,
    /// It is admitted, and its creator is warned.
    Warn,
    /// It is admitted unchanged, and the record has what would have happened.
    Audit,
}

impl Mode {
    /// Every mode, the strictest first.
    pub const ALL: [Mode; 3] = [Mode::Enforce, Mode::Warn, Mode::Audit];

    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Warn => "warn",
            Mode::Audit => "audit",
        }
    }

    /// The mode that applies. An invalid value gets a warning, and counts as the
    /// strictest mode.
    pub(super) fn of_label(value: (Option<&str>, Source<'_>), warnings: &mut Vec<String>) -> Mode {
        let modes = Mode::ALL.map(|mode| (mode.name(), mode));
        match parse(Label::Mode, value, &modes, warnings) {
            Stated::Valid(mode) => mode,
            Stated::Unset | Stated::Invalid => Mode::Enforce,
        }
    }
}
