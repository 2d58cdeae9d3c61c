//! The explanation as a table, 80 columns wide if the names are short enough.

use std::fmt::Write;

use super::changes::ExplainedChange;
use super::explanation::Explanation;
use super::profile_sources::FieldSource;
use super::values::{ExplainedValue, ProfileValue};
use crate::cli::output::{DENIED, HEADING, QUIET, visible};
use admission::decision::record::Violated;
use admission::standards::Level;

/// Two cells, and the lines of the third.
type Row = [String; 3];

/// The maximum widths of the columns, which longer cells exceed alone.
const WIDEST: [usize; 2] = [44, 24];
/// The usual width of a terminal.
const COLUMNS: usize = 80;
/// The minimum width of the third column. If less is left, it starts on the next line.
const NARROWEST: usize = 24;
const NEXT: usize = 4;

impl Explanation {
    /// The table. `violations` are those of the level.
    pub(in crate::cli) fn text(&self, violations: &[Violated]) -> String {
        let mut text = String::new();
        self.about(&mut text);
        heading(&mut text, "value, and its source");
        rows(
            &mut text,
            &self.values.iter().map(value).collect::<Vec<_>>(),
        );
        for key in &self.unread {
            let _ = writeln!(text, "  {QUIET}ignored: {}{QUIET:#}", visible(key));
        }
        let mut headings: Vec<String> = Vec::new();
        for place in self.changes.iter().map(at) {
            if !headings.contains(&place) {
                headings.push(place);
            }
        }
        for place in headings {
            let here = self.changes.iter().filter(|change| at(change) == place);
            let here: Vec<_> = here.collect();
            match here.iter().find_map(|change| part_of_role(change)) {
                Some((role, _)) => heading(&mut text, &format!("{place}, by {role}")),
                None => heading(&mut text, &place),
            }
            let changes = here.into_iter().map(|change| self.change(change));
            rows(&mut text, &changes.collect::<Vec<_>>());
        }
        self.judgement(&mut text, violations);
        text.push('\n');
        text
    }

    fn about(&self, text: &mut String) {
        let mut about = vec![(
            "podseal",
            match &self.user {
                Some(user) => format!("{}, {} by {user}", self.version, self.operation),
                None => format!("{}, {}", self.version, self.operation),
            },
        )];
        for (number, place) in self.profiles.iter().enumerate() {
            let is = if number == 0 { "profile" } else { "extends" };
            about.push((is, source(place)));
        }
        let job = self.job.clone().unwrap_or_else(|| "none".to_owned());
        about.push(("job", job));
        for (name, what) in about {
            let _ = writeln!(text, "  {QUIET}{name:<9}{QUIET:#}{}", visible(&what));
        }
    }

    /// What violates the level in the changed pod, and what the profile grants.
    fn judgement(&self, text: &mut String, violations: &[Violated]) {
        let Some(level) = self.level else { return };
        if !violations.is_empty() {
            heading(text, &format!("beyond the level {}", level.name()));
            let violation = |violated: &Violated| -> Row {
                let container = violated.container.as_deref().unwrap_or("pod");
                let Violated { field, value, .. } = violated;
                let what = format!("{container}: {field}: {value}");
                [violated.control.to_owned(), what, String::new()]
            };
            for [control, what, _] in violations.iter().map(violation) {
                let what = visible(&what).into_owned();
                let _ = writeln!(text, "  {DENIED}{control:<18}{DENIED:#}  {what}");
            }
        }
        if level == Level::Privileged {
            return;
        }
        let grants: Vec<_> = self.grants.iter().collect();
        let told = match (&self.job, grants.is_empty()) {
            (None, _) => "nothing: the pod is no job's".to_owned(),
            (_, true) => "nothing".to_owned(),
            _ => {
                let grants = grants
                    .iter()
                    .map(|g| format!("{} to {}", g.control, g.role));
                grants.collect::<Vec<_>>().join(", ")
            }
        };
        heading(text, &format!("granted by the profile at {}", level.name()));
        for line in wrapped(&told, COLUMNS - 2) {
            let _ = writeln!(text, "  {line}");
        }
    }
}

fn heading(text: &mut String, what: &str) {
    let _ = writeln!(text, "\n{HEADING}{}{HEADING:#}", visible(what));
}

/// The container of a change, or `pod`.
fn at(change: &ExplainedChange) -> String {
    match &change.container {
        Some(container) => format!("{} {container}", change.place),
        None => change.place.clone(),
    }
}

fn value(said: &ExplainedValue) -> Row {
    let shown = said.value.clone().unwrap_or_else(|| "-".to_owned());
    let who = match (said.source, &said.rule, said.argument) {
        ("argument", _, Some(argument)) => format!("argument {argument}"),
        ("rule", Some(rule), _) => format!("namespace rule {rule}"),
        ("label" | "annotation", ..) => format!("{} {}", said.source, said.key),
        // Each source in the profile has its own line.
        ("profile", ..) => String::new(),
        _ if said.remark.is_some() => String::new(),
        _ => format!("podseal's default, without {}", said.key),
    };
    let mut lines: Vec<String> = Vec::new();
    if !who.is_empty() {
        lines.push(who);
    }
    lines.extend(said.remark.clone());
    lines.extend(said.unused.iter().map(|why| format!("not used: {why}")));
    let is_profiles = said.source == "profile";
    for ProfileValue { value, place } in &said.in_profile {
        let place = format!("{} of {}", part(&place.field), brief(place));
        lines.push(match (is_profiles, said.in_profile.len()) {
            (true, 1) => place,
            (true, _) => format!("{value}: {place}"),
            (false, _) => format!("overrides {value}: {place}"),
        });
    }
    [said.name.to_owned(), shown, lines.join("\n")]
}

impl Explanation {
    fn change(&self, change: &ExplainedChange) -> Row {
        let value = change.value.as_deref().unwrap_or_default();
        let value = match (change.action, &change.was) {
            ("add", _) => format!("+ {value}"),
            ("remove", None) => format!("- {value}"),
            ("remove", Some(was)) => format!("removed (was {was})"),
            (_, Some(was)) => format!("{value} (was {was})"),
            (_, None) => value.to_owned(),
        };
        let rule = match part_of_role(change) {
            Some((_, part)) => part,
            None => &change.rule,
        };
        let mut rule = match &change.profile {
            Some(place) => format!("{rule} of {}", brief(place)),
            None => rule.to_owned(),
        };
        if let Some(setting) = change.setting {
            let said = self.values.iter().find(|said| said.key == setting);
            let _ = match said.map(|said| (&said.rule, said.name)) {
                Some((Some(rule_of), name)) => {
                    write!(rule, "\nchanged by {name} of namespace rule {rule_of}")
                }
                _ => write!(rule, "\nchanged by {setting}"),
            };
        }
        // Most fields have this prefix, which would exceed 80 columns.
        let field = change.field.strip_prefix("securityContext.");
        [field.unwrap_or(&change.field).to_owned(), value, rule]
    }
}

/// `containers.build` and `set`, for a rule of containers.
fn part_of_role(change: &ExplainedChange) -> Option<(&str, &str)> {
    let is_of_role = change.container.is_some() && change.rule.starts_with("containers.");
    is_of_role.then(|| change.rule.rsplit_once('.')).flatten()
}

/// `containers.build.set` for a field in it; otherwise the field.
fn part(field: &str) -> String {
    let parts = match field.split_once('.') {
        Some(("containers", _)) => 3,
        Some(("pod", _)) => 2,
        _ => return field.to_owned(),
    };
    field.split('.').take(parts).collect::<Vec<_>>().join(".")
}

/// A profile's name, and the line of its file.
fn brief(place: &FieldSource) -> String {
    match place.line {
        Some(line) => format!("{}:{line}", place.profile),
        None => place.profile.clone(),
    }
}

/// A profile's name, and where it comes from.
fn source(place: &FieldSource) -> String {
    match &place.file {
        Some(file) => format!("{} ({file})", place.profile),
        None => format!("{} (built in)", place.profile),
    }
}

fn rows(text: &mut String, rows: &[Row]) {
    let widths = widths(rows);
    for row in rows {
        write_row(text, row, widths);
    }
}

fn widths(rows: &[Row]) -> [usize; 2] {
    [0, 1].map(|column| {
        let cells = rows.iter().map(|row| visible(&row[column]).chars().count());
        cells
            .filter(|width| *width <= WIDEST[column])
            .max()
            .unwrap_or(0)
    })
}

fn write_row(text: &mut String, row: &Row, [first, second]: [usize; 2]) {
    let [name, value, lines] = row;
    let (name, value) = (visible(name), visible(value));
    let mut line = format!("  {name:<first$}  {value:<second$}");
    if line.trim_end().chars().count() > COLUMNS {
        // A long value has its own line, of any length.
        let _ = writeln!(text, "  {name}");
        line = format!("    {value}");
    }
    let end = line.chars().count();
    let column = first + second + 4;
    let margin = match COLUMNS.checked_sub(column + 2) {
        Some(NARROWEST..) => column,
        _ => NEXT,
    };
    text.push_str(line.trim_end());
    for (number, told) in lines.lines().enumerate() {
        let told = visible(told);
        let fits = end + 2 + told.chars().count() <= COLUMNS;
        let is_same_line = number == 0 && (fits || end == margin);
        let start = if is_same_line { end } else { margin };
        for (part, told) in wrapped(&told, COLUMNS - start - 2).iter().enumerate() {
            let margin = match part {
                0 if is_same_line => end - line.trim_end().chars().count(),
                _ => {
                    text.push('\n');
                    margin
                }
            };
            let _ = write!(text, "{:margin$}  {QUIET}{told}{QUIET:#}", "");
        }
    }
    text.push('\n');
}

/// `text` in lines of at most `width`, except for longer words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut left = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < left => {
                line.push(' ');
                line.push_str(word);
                left -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                left = width.saturating_sub(length);
            }
        }
    }
    lines
}
