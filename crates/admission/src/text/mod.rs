//! Text that came from a request: borrowed where JSON allows it, and never
//! shown raw.
//!
//! Everything in a review except a few enumerations was written by users whom
//! podseal does not trust. [`Text`] holds it without copying. [`quoted`] and
//! [`unquoted`] escape it for messages, and [`bounded`] for records.

use std::borrow::Cow;

pub mod spelling;

use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Expected, MapAccess, Unexpected, Visitor};

/// A string of the request, borrowed from its bytes unless it contains an escape.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        // Any, since `deserialize_str` rejects `null`.
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A resource quantity as written. The API accepts a number, too (`github.com/fuse:
/// 1` in hand-written YAML), and so does this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantity<'a>(pub Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Quantity<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;
        impl<'de> Visitor<'de> for QuantityVisitor {
            type Value = Quantity<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Quantity<'de>, E> {
                Ok(Quantity(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Quantity<'de>, E> {
                Ok(Quantity(text.to_owned().into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Quantity<'de>, E> {
                Ok(Quantity(number.to_string().into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Quantity<'de>, E> {
                Ok(Quantity(number.to_string().into()))
            }
            fn visit_unit<E>(self) -> Result<Quantity<'de>, E> {
                Ok(Quantity::default())
            }
            fn visit_f64<E>(self, number: f64) -> Result<Quantity<'de>, E> {
                // Not all digits: a number of five bytes may have
                // three hundred.
                let is_short = number == 0.0 || (1e-5..1e15).contains(&number.abs());
                let text = if is_short {
                    number.to_string()
                } else {
                    format!("{number:e}")
                };
                Ok(Quantity(text.into()))
            }
        }
        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// A JSON object, in the order of the request.
///
/// A vector and not a map: labels are few, looked up a handful of times, and
/// building a hash map of borrowed keys costs more than every look-up saves.
#[derive(Debug, Clone)]
pub struct Map<'a, V = Text<'a>>(pub Vec<(Text<'a>, V)>);

impl<V> Default for Map<'_, V> {
    fn default() -> Self {
        Map(Vec::new())
    }
}

impl<'a, V> Map<'a, V> {
    /// The value of `key`. If a key is repeated, the last one applies, as for
    /// the API server.
    pub fn get(&self, key: &str) -> Option<&V> {
        let found = self.0.iter().rev().find(|(name, _)| &**name == key);
        found.map(|(_, value)| value)
    }

    /// Sets `key`, replacing the value that [`Map::get`] would find.
    pub fn set(&mut self, key: Text<'a>, value: V) {
        match self.0.iter_mut().rev().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }
}

/// A value that is `null` is an empty one, as it is for the API server.
impl<'de: 'a, 'a, V: Default + Deserialize<'de>> Deserialize<'de> for Map<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<V>(PhantomData<V>);
        impl<'de, V: Default + Deserialize<'de>> Visitor<'de> for MapVisitor<V> {
            type Value = Map<'de, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Map<'de, V>, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<_, Option<V>>()? {
                    entries.push((key, value.unwrap_or_default()));
                }
                Ok(Map(entries))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Map<'de, V>, E> {
                Err(wrong_type(text, &self))
            }
        }
        deserializer.deserialize_any(MapVisitor(PhantomData))
    }
}

/// How many bytes of an untrusted value, escaped, a message or record shows.
pub const SHOWN: usize = 128;

/// The beginning of `text`, longer than what is ever shown, so that it is shown and
/// truncated exactly as the whole text would be.
pub(crate) fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(2 * SHOWN)]
}

/// `text` in double quotes for a message: at most [`SHOWN`] bytes or a little
/// more, with
/// everything escaped that could break a line, forge a second field, or spell
/// one of the phrases GitLab Runner retries on.
///
/// The runner decides by substring whether a failed pod creation is worth a retry
/// (`connection refused`, `broken pipe`, …). Each of those phrases contains a
/// space, so escaping spaces in untrusted values is enough to keep an author from
/// turning a denial into a retry loop.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN) + 2);
    out.push('"');
    escape_into(&mut out, text, true);
    out.push('"');
    out
}

/// `text` for a log field: bounded and escaped as [`quoted`] does, without the
/// quotes, and borrowed if nothing has to be escaped.
pub fn bounded(text: &str) -> Cow<'_, str> {
    let plain = text.len() <= SHOWN && text.chars().all(|c| is_plain(c) || c == ' ');
    if plain {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(SHOWN + 8);
    escape_into(&mut out, text, false);
    Cow::Owned(out)
}

/// `text` of about `most` bytes for a log field, which the log quotes itself:
/// what is not plain is escaped, except quotes, backslashes and the `…` of text that
/// was truncated before.
pub fn remark(text: &str, most: usize) -> String {
    // Most text is kept as it is.
    let is_kept = |c: char| matches!(c, ' ' | '"' | '\\' | '…') || is_plain(c);
    if text.len() <= most && text.chars().all(is_kept) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(most) + 8);
    for c in text.chars() {
        if out.len() >= most {
            out.push('…');
            break;
        }
        if is_kept(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

/// `text` for a message, as [`quoted`] escapes it but without the quotes: it has no
/// spaces, so it cannot spell a phrase that the runner retries on either.
pub fn unquoted(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(SHOWN + 8);
    escape_into(&mut out, text, true);
    Cow::Owned(out)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && c != '"' && c != '\\' || (!c.is_ascii() && c.is_alphanumeric())
}

fn escape_into(out: &mut String, text: &str, spaces: bool) {
    let end = out.len() + SHOWN;
    for c in text.chars() {
        if out.len() >= end {
            out.push('…');
            return;
        }
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' ' if !spaces => out.push(' '),
            c if is_plain(c) => out.push(c),
            c => {
                // `\u{1b}`, as Rust writes it.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
}

/// The error for a text where something else is expected. serde quotes all of the
/// text, several times, so it gets only the beginning.
pub(crate) fn wrong_type<E: Error>(text: &str, expected: &dyn Expected) -> E {
    E::invalid_type(Unexpected::Str(beginning(text)), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_stays_on_one_line_and_within_its_bound() {
        let hostile = format!("/x\n\u{1b}[31m\u{202e}{}", "y".repeat(10_000));
        let shown = quoted(&hostile);
        assert!(!shown.contains(['\n', '\u{1b}', '\u{202e}']), "{shown}");
        assert!(shown.chars().count() < SHOWN * 2, "{shown}");
    }

    #[test]
    fn a_quoted_value_cannot_spell_a_phrase_the_runner_retries_on() {
        assert!(!quoted("/home/connection refused").contains("connection refused"));
    }

    #[test]
    fn a_remark_keeps_its_quotes_and_its_bound_and_no_control_character() {
        assert_eq!(remark(r#"secrets "x" is\"#, 400), r#"secrets "x" is\"#);
        assert_eq!(remark("a\n\u{202e}", 400), "a\\u{a}\\u{202e}");
        assert_eq!(remark("abcdef", 3), "abc…");
        assert_eq!(remark("abc…", 400), "abc…");
    }

    #[test]
    fn a_plain_value_is_shown_as_it_is() {
        assert_eq!(quoted("/my_custom_dir"), "\"/my_custom_dir\"");
        assert_eq!(bounded("platform images"), "platform images");
        assert_eq!(unquoted("/broken pipe"), "/broken\\u{20}pipe");
    }
}
