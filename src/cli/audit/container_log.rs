//! Finds a record in a line, whatever wrote the line.
//!
//! | line | from |
//! |---|---|
//! | `{…}` | podseal |
//! | `[pod/podseal-0/podseal] {…}`, `2026-… {…}` | `kubectl logs --prefix`, `--timestamps` |
//! | `2026-… stderr F {…}` | a file of containerd or CRI-O; `P` is a part of a line |
//! | `{"log": "{…}\n"}` | a file of Docker; log collectors also call it `message` or `line` |
//! | `{"…": {…}}` | a log collector that parses JSON |

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use admission::text::Text;

/// What every record contains, of every version of the schema.
const SCHEMA: &[u8] = b"podseal.io/decision/";
/// The beginning of a record as podseal writes it.
const BEGIN: &[u8] = b"{\"schema\":\"podseal.io/decision/";
/// The length of a line that is put together from its parts.
const LONGEST: usize = 128 * 1024;

/// Joins the parts of lines.
#[derive(Default)]
pub(super) struct PartialLines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl PartialLines {
    /// The whole line that `line` is or completes. `None` if more of it follows.
    pub(super) fn whole<'l>(&mut self, line: &'l [u8]) -> Option<Cow<'l, [u8]>> {
        let Some(part) = Part::of(line) else {
            return Some(Cow::Borrowed(line));
        };
        let before = match part.stream {
            b"stdout" => &mut self.stdout,
            _ => &mut self.stderr,
        };
        if part.is_last && before.is_empty() {
            return Some(Cow::Borrowed(part.text));
        }
        let room = LONGEST.saturating_sub(before.len());
        before.extend_from_slice(&part.text[..part.text.len().min(room)]);
        part.is_last.then(|| Cow::Owned(std::mem::take(before)))
    }
}

/// A line of a container runtime's log file.
struct Part<'l> {
    stream: &'l [u8],
    is_last: bool,
    text: &'l [u8],
}

impl Part<'_> {
    fn of(line: &[u8]) -> Option<Part<'_>> {
        let is_time = line.first().is_some_and(u8::is_ascii_digit);
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        fields.next().filter(|_| is_time)?;
        let stream = fields
            .next()
            .filter(|name| matches!(*name, b"stdout" | b"stderr"))?;
        // Tags are separated by colons; the first says whether the line is whole.
        let is_last = match fields.next()?.split(|byte| *byte == b':').next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        let text = fields.next().unwrap_or_default();
        Some(Part {
            stream,
            is_last,
            text,
        })
    }
}

/// The JSON in `line` that may be a record, with what follows it.
///
/// A record is the whole of what a program wrote. podseal's other messages may quote text of
/// strangers, and that may look like a record.
pub(super) fn record_in(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    if line.starts_with(BEGIN) {
        return Some(Cow::Borrowed(line));
    }
    let schema = memmem::find(line, SCHEMA)?;
    // The usual case, and the only one for a record within other JSON.
    let begin = schema.checked_sub(BEGIN.len() - SCHEMA.len());
    if let Some(begin) = begin.filter(|begin| line[*begin..].starts_with(BEGIN)) {
        return Some(Cow::Borrowed(&line[begin..]));
    }
    let json = &line[memchr::memchr(b'{', line)?..];
    let Ok(object) = serde_json::from_slice::<Wrapper<'_>>(json) else {
        return Some(Cow::Borrowed(json));
    };
    let quotes = |text: &&Text<'_>| memmem::find(text.as_bytes(), SCHEMA).is_some();
    let texts = [&object.log, &object.message, &object.line];
    match texts.into_iter().find(quotes) {
        Some(text) if object.schema.is_empty() => object.wraps().then(|| whole(text)).flatten(),
        // A record whose fields were put into another order.
        _ => Some(Cow::Borrowed(json)),
    }
}

/// A container runtime's or a log collector's own JSON, with a line in it.
#[derive(Deserialize)]
struct Wrapper<'l> {
    #[serde(borrow, default)]
    schema: Text<'l>,
    level: Option<IgnoredAny>,
    target: Option<IgnoredAny>,
    #[serde(borrow, default)]
    log: Text<'l>,
    #[serde(borrow, default)]
    message: Text<'l>,
    #[serde(borrow, default)]
    line: Text<'l>,
}

impl Wrapper<'_> {
    /// Whether it is not a message of podseal's own.
    fn wraps(&self) -> bool {
        self.level.is_none() || self.target.is_none()
    }
}

/// The record that `text` is.
fn whole(text: &str) -> Option<Cow<'static, [u8]>> {
    let line = text.trim_ascii_start().as_bytes();
    let line = Part::of(line).map_or(line, |part| part.text);
    line.starts_with(b"{").then(|| Cow::Owned(line.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"schema":"podseal.io/decision/v1","pod":"a"}"#;

    fn found(lines: &[&str]) -> Option<String> {
        let mut partial = PartialLines::default();
        let whole = lines
            .iter()
            .filter_map(|line| partial.whole(line.as_bytes()));
        let whole: Vec<_> = whole.collect();
        let found = whole.iter().find_map(|line| record_in(line));
        found.map(|json| String::from_utf8_lossy(&json).into_owned())
    }

    #[test]
    fn a_record_is_found_in_every_kind_of_line() {
        let escaped = serde_json::Value::from(format!("{RECORD}\n"));
        for line in [
            RECORD.to_owned(),
            format!("[pod/podseal-0/podseal] {RECORD}"),
            format!("2026-11-30T01:00:00.123456789Z {RECORD}"),
            format!("2026-11-30T01:00:00.123456789Z stderr F {RECORD}"),
            format!("2026-11-30T01:00:00.123456789Z stdout F:tag {RECORD}"),
            format!(r#"{{"log":{escaped},"stream":"stderr"}}"#),
            format!(r#"{{"date":1.5,"message":{escaped}}}"#),
            format!(r#"{{"date":1.5,"level":6,"message":{escaped}}}"#),
            format!(
                r#"{{"log":"2026-11-30T01:00:00Z stderr F {}}}"#,
                &escaped.to_string()[1..]
            ),
        ] {
            let found = found(&[&line]).expect("a record");
            assert_eq!(found.trim_end(), RECORD, "{line}");
        }
        let nested = format!(r#"{{"kubernetes":{{}},"podseal":{RECORD}}}"#);
        assert!(found(&[&nested]).is_some_and(|found| found.starts_with(RECORD)));
        let sorted = r#"{"pod":"a","schema":"podseal.io/decision/v1"}"#;
        assert_eq!(found(&[sorted]).as_deref(), Some(sorted));
    }

    #[test]
    fn the_parts_of_a_line_are_joined_by_stream() {
        let (first, second) = RECORD.split_at(20);
        let lines = [
            format!("2026-11-30T01:00:00Z stderr P {first}"),
            "2026-11-30T01:00:00Z stdout P other".to_owned(),
            "2026-11-30T01:00:00Z stdout F line".to_owned(),
            format!("2026-11-30T01:00:00Z stderr F {second}"),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert_eq!(found(&lines).as_deref(), Some(RECORD));
    }

    #[test]
    fn text_that_quotes_a_record_is_none() {
        for line in [
            "",
            "serving",
            r#"{"level":"INFO","message":"serving"}"#,
            "podseal.io/decision/v1",
            r#"2026-11-30T01:00:00Z validate deny ci/x [p] {\"schema\":\"podseal"#,
        ] {
            assert_eq!(found(&[line]), None, "{line}");
        }
        for message in [
            format!("cannot read namespace: {RECORD}"),
            RECORD.to_owned(),
        ] {
            let message = serde_json::Value::from(message);
            let own = format!(r#"{{"level":"WARN","message":{message},"target":"podseal::x"}}"#);
            assert_eq!(found(&[&own]), None, "{own}");
        }
        let quoting = serde_json::Value::from(format!("cannot read namespace: {RECORD}"));
        for field in ["log", "message", "line"] {
            let line = format!(r#"{{"{field}":{quoting}}}"#);
            assert_eq!(found(&[&line]), None, "{line}");
        }
        // A record is one whatever its message quotes.
        let sorted = format!(r#"{{"message":{quoting},"schema":"podseal.io/decision/v1"}}"#);
        assert_eq!(found(&[&sorted]), Some(sorted));
    }
}
