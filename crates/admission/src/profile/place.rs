//! The positions of fields in a file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A line and a column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// The keys of a YAML document, nested as in the document, with their positions.
#[derive(Debug, Clone, Default)]
pub(super) struct Outline(Vec<(String, Position, Outline)>);

impl Outline {
    /// Renames the key at `path` to `name`.
    pub(super) fn rename(&mut self, path: &[&str], name: &str) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        if let Some((key, _, within)) = self.0.iter_mut().find(|(key, ..)| key == first) {
            match rest {
                [] => *key = name.to_owned(),
                rest => within.rename(rest, name),
            }
        }
    }

    /// The outline of a document; empty if it is not YAML.
    pub(super) fn of(yaml: &str) -> Outline {
        serde_saphyr::from_str(yaml).unwrap_or_default()
    }

    /// The position of the field at `path`, if it exists.
    pub(super) fn find(&self, path: &[&str]) -> Option<Position> {
        let (first, rest) = path.split_first()?;
        let (_, position, within) = self.0.iter().find(|(key, ..)| key == first)?;
        match rest {
            [] => Some(*position),
            rest => within.find(rest),
        }
    }

    /// Where the field at `path` is, or the nearest object around it.
    pub(super) fn nearest(&self, path: &[&str]) -> Option<Position> {
        let mut around = (1..=path.len()).rev().map(|end| &path[..end]);
        around.find_map(|path| self.find(path))
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, within)) = map.next_entry::<Spanned<String>, Outline>()? {
            let position = Position {
                line: key.defined.line(),
                column: key.defined.column(),
            };
            keys.push((key.value, position, within));
        }
        Ok(Outline(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Outline, A::Error> {
        while items.next_element::<Outline>()?.is_some() {}
        Ok(Outline::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::default())
    }

    fn visit_unit<E>(self) -> Result<Outline, E> {
        Ok(Outline::default())
    }
}

#[test]
fn a_field_is_found_by_its_path() {
    let yaml = "name: x\ncontainers:\n  build:\n    set: {env: {A: b},\n      resources: {}}\n";
    let outline = Outline::of(yaml);
    let at = |line, column| Some(Position { line, column });
    assert_eq!(outline.find(&["containers", "build"]), at(3, 3));
    assert_eq!(
        outline.find(&["containers", "build", "set", "resources"]),
        at(5, 7)
    );
    assert_eq!(outline.find(&["containers", "helper"]), None);
}
