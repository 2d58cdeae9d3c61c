//! Lines and columns of any width, and times.

use std::fmt::Write;
use std::io::IsTerminal;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::audit::groups::Group;
use crate::cli::output::QUIET;

/// The width of a pipe.
pub(super) const PIPE: usize = 100;
/// The width of the columns before the third, with their gaps.
const COUNT_AND_TIMES: usize = 2 + 8 + 2 + 12 + 2 + 12 + 2;

/// The width of lines.
#[derive(Clone, Copy)]
pub(in crate::cli::audit) struct Width {
    pub(super) columns: usize,
    /// Whether names are cut to fit. In a pipe they are whole.
    cuts: bool,
}

/// The width of standard output.
pub(in crate::cli::audit) fn width() -> Width {
    let stdout = std::io::stdout();
    let size = terminal_size::terminal_size_of(&stdout);
    match size.filter(|_| stdout.is_terminal()) {
        Some((columns, _)) => Width {
            // Narrower ones wrap.
            columns: usize::from(columns.0).clamp(60, 160),
            cuts: true,
        },
        None => Width {
            columns: PIPE,
            cuts: false,
        },
    }
}

/// The format of times in tables.
#[derive(Clone, Copy)]
pub(super) struct Times(&'static str);

impl Times {
    /// With the year only if it says something.
    pub(super) fn new(first: Timestamp, last: Timestamp) -> Times {
        match last.duration_since(first) < SignedDuration::from_hours(24 * 180) {
            true => Times("%b %d %H:%M"),
            false => Times("%Y-%m-%d"),
        }
    }

    pub(super) fn of<D>(self, group: &Group<D>) -> String {
        let Group { first, last, .. } = group;
        format!(
            "{:<12}  {:<12}",
            format(*first, self.0),
            format(*last, self.0)
        )
    }
}

pub(super) fn format(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// The columns of a table: requests, first, last, `middle`, and what is left for the
/// last one.
pub(super) struct Columns {
    title: &'static str,
    middle: usize,
    rest: usize,
}

impl Columns {
    pub(super) fn new<'n>(
        names: impl Iterator<Item = &'n str>,
        title: &'static str,
        width: Width,
    ) -> Columns {
        let longest = names.map(|name| name.chars().count()).max();
        let longest = longest.unwrap_or_default().max(title.len());
        let room = width.columns - COUNT_AND_TIMES - 2;
        let middle = match width.cuts {
            true => longest.min(room * 2 / 5),
            false => longest,
        };
        let rest = if width.cuts {
            room - middle
        } else {
            usize::MAX
        };
        Columns {
            title,
            middle,
            rest,
        }
    }

    pub(super) fn heading(&self, text: &mut String, last: &str) {
        let Columns { title, middle, .. } = self;
        let _ = writeln!(
            text,
            "  {QUIET}REQUESTS  FIRST         LAST          {title:middle$}  {last}{QUIET:#}"
        );
    }

    pub(super) fn row<D>(
        &self,
        text: &mut String,
        group: &Group<D>,
        times: Times,
        middle: &str,
        last: &str,
    ) {
        let width = self.middle;
        let (middle, last) = (cut(middle, width), cut(last, self.rest));
        let (requests, times) = (group.requests, times.of(group));
        let _ = writeln!(text, "  {requests:>8}  {times}  {middle:width$}  {last}");
    }
}

/// `text` of at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `text` in at most `most` lines of `width` characters.
pub(super) fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            let gap = if line.is_empty() { "" } else { " " };
            line.push_str(gap);
            line.push_str(word);
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        let last = lines.last_mut().expect("there is always a line");
        last.push_str(" …");
    }
    lines.iter().map(|line| cut(line, width)).collect()
}
