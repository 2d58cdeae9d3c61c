//! Errors in profiles, in terms of the file and not of Rust's types.

use super::place::{Outline, Position};
use crate::text::remark;
use crate::text::spelling::suggestion;

/// How many bytes of an error are shown. It quotes the file, whose lines can be long.
const MAX_MESSAGE: usize = 2000;

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// The position in the file.
    pub position: Option<Position>,
    /// The message, without a full stop.
    pub message: String,
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
    /// The message without the position, with at most `MAX_MESSAGE` bytes.
    pub fn bounded(&self) -> &str {
        &self.message[..self.message.floor_char_boundary(MAX_MESSAGE)]
    }

    pub(crate) fn at(position: Option<Position>, message: String) -> ProfileError {
        // It quotes the file, whose control characters must not reach a terminal.
        let lines: Vec<_> = message
            .lines()
            .map(|line| remark(line, MAX_MESSAGE))
            .collect();
        let message = lines.join("\n");
        ProfileError { position, message }
    }

    /// An error of the YAML parser: a value of the wrong type, an unknown field, or a
    /// file that is not YAML.
    pub(crate) fn of_yaml(error: &serde_saphyr::Error) -> ProfileError {
        let position = error.location().map(|location| Position {
            line: location.line(),
            column: location.column(),
        });
        let mut message = error.without_snippet().to_string();
        // `Display` writes the position first.
        for rest in [" at line ", ", set DuplicateKeyPolicy"] {
            if let Some((what, _)) = message.split_once(rest) {
                message.truncate(what.len());
            }
        }
        if message.starts_with("multiple YAML documents") {
            message = "the file has more than one YAML document; use a file for each".to_owned();
        }
        if let Some(suggestion) = suggestion(&message) {
            message = format!("{suggestion} {message}");
        }
        ProfileError::at(position, message)
    }

    /// An error in a field.
    pub(super) fn of_field(
        outline: &Outline,
        error: &serde_path_to_error::Error<serde_json::Error>,
    ) -> ProfileError {
        let path = keys(error.path());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let position = outline.nearest(&path);
        // It quotes keys of the file as they are.
        let message = remark(&error.inner().to_string(), MAX_MESSAGE);
        // The unknown field is in the message already.
        let message = match suggestion(&message) {
            Some(suggestion) => format!("{suggestion} {message}"),
            None if message.starts_with("unknown ") => message,
            None if path.is_empty() => in_terms_of_yaml(message),
            None => of_type(&path, error.inner()),
        };
        ProfileError::at(position, message)
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

/// A message about a field's type, in terms of YAML and not of Rust.
pub(super) fn of_type(path: &[&str], error: &serde_json::Error) -> String {
    let message = in_terms_of_yaml(error.to_string());
    // Keys of maps, such as those of `env`, can have any character.
    remark(&format!("{}: {message}", path.join(".")), MAX_MESSAGE)
}

fn in_terms_of_yaml(message: String) -> String {
    match message.split_once(", expected ") {
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
        None => message,
    }
}
