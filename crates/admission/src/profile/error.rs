//! Why a profile cannot be used, in the words of who wrote it.

use super::place::{Outline, Position};
use crate::text::remark;
use crate::text::spelling::suggestion;

/// How many bytes of an error are told: it quotes the file, however long its
/// lines are.
const TOLD: usize = 2000;

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// Where in the file.
    pub position: Option<Position>,
    /// Why, as a sentence without a full stop.
    pub told: String,
}

impl std::error::Error for ProfileError {}

impl std::fmt::Display for ProfileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        f.write_str(self.bounded())
    }
}

impl ProfileError {
    /// Why, without the place, and not longer than a message may be.
    pub fn bounded(&self) -> &str {
        &self.told[..self.told.floor_char_boundary(TOLD)]
    }

    pub(crate) fn at(position: Option<Position>, told: String) -> ProfileError {
        // It quotes the file, and is read in terminals.
        let lines: Vec<_> = told.lines().map(|line| remark(line, TOLD)).collect();
        let told = lines.join("\n");
        ProfileError { position, told }
    }

    /// The error of a value that is of no type the field could have, or of a file
    /// that is not YAML.
    pub(crate) fn of_yaml(error: &serde_saphyr::Error) -> ProfileError {
        let position = error.location().map(|location| Position {
            line: location.line(),
            column: location.column(),
        });
        let mut told = error.without_snippet().to_string();
        // The position is told in front.
        for rest in [" at line ", ", set DuplicateKeyPolicy"] {
            if let Some((what, _)) = told.split_once(rest) {
                told.truncate(what.len());
            }
        }
        if let Some(suggestion) = suggestion(&told) {
            told = format!("{suggestion} {told}");
        }
        ProfileError::at(position, told)
    }

    /// The error of a field, with its place, which the reader of YAML often has not.
    pub(super) fn of_field(
        outline: &Outline,
        in_field: &serde_path_to_error::Error<serde_json::Error>,
        in_yaml: &serde_saphyr::Error,
    ) -> ProfileError {
        let mut error = ProfileError::of_yaml(in_yaml);
        let path = keys(in_field.path());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let around = (1..=path.len()).rev().map(|end| &path[..end]);
        let place = around.into_iter().find_map(|path| outline.find(path));
        error.position = error.position.or(place);
        if !error.told.contains("unknown ") && !path.is_empty() {
            error = ProfileError::at(error.position, of_type(&path, in_field.inner()));
        }
        error
    }
}

/// The keys that lead to a field.
pub(super) fn keys(path: &serde_path_to_error::Path) -> Vec<String> {
    let keys = path.iter().filter_map(|segment| match segment {
        serde_path_to_error::Segment::Map { key } => Some(key.clone()),
        _ => None,
    });
    keys.collect()
}

/// What is wrong with a field's type, in the words of its writer and not of Rust.
pub(super) fn of_type(path: &[&str], error: &serde_json::Error) -> String {
    let told = error.to_string();
    let told = match told.split_once(", expected ") {
        Some((what, expected)) => {
            let expected = match expected {
                "i64" | "u64" => "a whole number, without quotes",
                "a boolean" => "true or false, without quotes",
                "a sequence" => "a list, such as [A, B]",
                "a map" => "fields, each as key: value",
                other if other.starts_with("struct ") => "fields, each as key: value",
                other => other,
            };
            format!("{what}, expected {expected}")
        }
        None => told,
    };
    format!("{}: {told}", path.join("."))
}
