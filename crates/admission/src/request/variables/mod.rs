//! Reads the variables of a review's containers apart from the rest of it.
//!
//! They are three quarters of a job's review, and nearly all of them are written in one
//! way: `{"name":"A","value":"b"}`. Comparing with that costs a tenth of parsing JSON. So
//! the lists of variables are set aside first, the rest is parsed with a list of one
//! variable in the place of each, and then the lists are put back.
//!
//! | step | why the result is that of parsing the whole text |
//! |---|---|
//! | `"env":[{` is searched | in valid JSON, a quote before a name opens a string, or is escaped in one, so what follows the colon is a value |
//! | entries are read up to `]` | each is valid JSON: compared, or parsed as any other variable; so the list is that value, whole |
//! | a list with one variable is written instead | the text is valid where the original is, and a list of objects is an error, or of no interest, where the other would be |
//! | a list is put back by its number | no variable of the client's can have that name: a text that contains it is parsed as a whole |
//!
//! Where any of this does not hold, and where the rest cannot be parsed, the whole text is
//! parsed, so errors are the same.

use std::borrow::Cow;
use std::fmt::Write;
use std::mem;

use memchr::{memchr2, memmem};
use serde_json::Deserializer;

use super::Request;
use crate::pod::object::Object;
use crate::pod::{Container, EnvVar};
use crate::text::Text;

/// What a list of variables begins with, as the API server writes it.
const LIST: &str = r#""env":[{"#;
/// The name of the variable in the place of a list, before the list's number.
const ASIDE: &str = "podseal.io/variables#";

/// The lists of variables of one review.
pub(super) struct Variables<'a>(Vec<Vec<EnvVar<'a>>>);

impl<'a> Variables<'a> {
    /// Sets the lists in `text` aside and writes the rest to `room`, which is empty. None
    /// if there are none, or one of them is for the parser.
    pub(super) fn set_aside(text: &'a str, room: &mut String) -> Option<Variables<'a>> {
        if memmem::find(text.as_bytes(), ASIDE.as_bytes()).is_some() {
            return None;
        }
        let mut lists = Vec::new();
        let mut rest = text;
        let list = memmem::Finder::new(LIST);
        while let Some(at) = list.find(rest.as_bytes()) {
            let (before, entries) = rest.split_at(at + LIST.len() - 1);
            let (list, after) = entries_of(entries)?;
            if lists.is_empty() {
                room.reserve_exact(text.len());
            }
            room.push_str(before);
            // Writing to a string cannot fail.
            let _ = write!(room, r#"{{"name":"{ASIDE}{}"}}]"#, lists.len());
            lists.push(list);
            rest = after;
        }
        room.push_str(rest);
        (!lists.is_empty()).then_some(Variables(lists))
    }

    /// Puts the lists back into the pods that were read from the rest.
    pub(super) fn put_back(mut self, request: &mut Request<'a>) {
        let pods = request.object.iter_mut().chain(&mut request.old_object);
        for pod in pods {
            let spec = &mut pod.spec;
            let lists = [
                &mut spec.init_containers,
                &mut spec.containers,
                &mut spec.ephemeral_containers,
            ];
            for container in lists.into_iter().flatten() {
                if let Some(list) = number(container).and_then(|number| self.0.get_mut(number)) {
                    container.env = Some(mem::take(list));
                }
            }
        }
    }
}

/// The number of the list that was set aside here.
fn number(container: &Container<'_>) -> Option<usize> {
    match container.env.as_deref() {
        // A name with an escape is owned, and its text is the client's.
        Some([var]) => match &var.name.0 {
            Cow::Borrowed(name) => name.strip_prefix(ASIDE)?.parse().ok(),
            Cow::Owned(_) => None,
        },
        _ => None,
    }
}

/// The entries of a list up to its end, and the text after it.
fn entries_of(list: &str) -> Option<(Vec<EnvVar<'_>>, &str)> {
    let mut entries = Vec::new();
    let mut text = list;
    let rest = loop {
        let (entry, rest) = plain(text).or_else(|| any(text))?;
        entries.push(entry);
        match rest.as_bytes().first()? {
            b',' => text = &rest[1..],
            b']' => break &rest[1..],
            _ => return None,
        }
    };
    // JSON has none in strings, and the API server writes none between them.
    let read = &list[..list.len() - rest.len()];
    (!has_control(read.as_bytes())).then_some((entries, rest))
}

/// Whether there is a control character, by eight bytes at a time: the release is built for
/// its size, so the compiler does not do that itself.
fn has_control(text: &[u8]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let (words, rest) = text.as_chunks();
    let is_in = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        // What is below 0x20 borrows, and so gets a high bit that it did not have.
        word.wrapping_sub(EACH * 0x20) & !word & (EACH * 0x80) != 0
    };
    words.iter().any(is_in) || rest.iter().any(|byte| *byte < 0x20)
}

/// A variable with a literal value or none, as the API server writes it, and the text
/// after it.
#[inline]
fn plain(text: &str) -> Option<(EnvVar<'_>, &str)> {
    let name = after(text, br#"{"name":""#)?;
    let (name, rest) = literal(name)?;
    let (value, rest) = match after(rest, br#"","value":""#) {
        Some(value) => {
            let (value, rest) = literal(value)?;
            (Some(Text::from(value)), rest)
        }
        None => (None, rest),
    };
    let entry = EnvVar {
        name: Text::from(name),
        value,
        value_from: None,
    };
    Some((entry, after(rest, br#""}"#)?))
}

/// The text after `begin`, which is ASCII.
#[inline]
fn after<'a, const N: usize>(text: &'a str, begin: &[u8; N]) -> Option<&'a str> {
    match text.as_bytes().first_chunk() == Some(begin) {
        true => Some(&text[N..]),
        false => None,
    }
}

/// The rest of a string without escapes, and the text from the quote that ends it.
#[inline]
fn literal(text: &str) -> Option<(&str, &str)> {
    let end = memchr2(b'"', b'\\', text.as_bytes())?;
    Some(text.split_at(end))
}

/// Any variable, and the text after it.
fn any(text: &str) -> Option<(EnvVar<'_>, &str)> {
    let mut entries = Deserializer::from_str(text).into_iter::<Option<Object<EnvVar<'_>>>>();
    let entry = entries.next()?.ok()?;
    let entry = entry.map(|Object(entry)| entry).unwrap_or_default();
    Some((entry, &text[entries.byte_offset()..]))
}

#[cfg(test)]
mod tests;
