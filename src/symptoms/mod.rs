//! Symptoms of jobs that fail: what is seen, its cause and its fix. `docs/troubleshooting.md`
//! shows these tables, and `podseal doctor` reads messages by them.
//!
//! | file | what it has |
//! |---|---|
//! | `job_log` | what the log of a failed job has, or its pod's events |
//! | `api_server` | what the API server says when it denies a pod, or cannot call podseal |

mod api_server;
mod job_log;
#[cfg(test)]
mod page;

pub use self::api_server::{KUBERNETES_DENIED, NOT_ASKED};
pub use self::job_log::JOB_LOG;

/// Stands for any text within a line.
const ANYTHING: char = '…';

/// The page that shows the tables, in `docs`.
const PAGE: &str = "troubleshooting.md";

/// A row of a table. Its texts are Markdown, with links as seen from `docs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symptom {
    /// A name for programs, which never changes.
    pub id: &'static str,
    /// What a reader sees.
    pub seen: &'static str,
    /// What a line must have, `…` standing for anything; none where a message alone does
    /// not tell.
    pub patterns: &'static [&'static str],
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Symptom {
    /// Whether a line of `text` has it.
    pub fn is_in(&self, text: &str) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| text.lines().any(|line| matches(pattern, line)))
    }

    /// The page to read on: the first that the cause or the fix links, as a path of the
    /// repository.
    pub fn page(&self) -> String {
        let target = target(self.cause).or_else(|| target(self.fix));
        match target.unwrap_or(PAGE) {
            anchor if anchor.starts_with('#') => format!("docs/{PAGE}{anchor}"),
            page => match page.strip_prefix("../") {
                Some(path) => path.to_owned(),
                None => format!("docs/{page}"),
            },
        }
    }
}

/// The first symptom of `table` that `text` has.
pub fn find(table: &'static [Symptom], text: &str) -> Option<&'static Symptom> {
    table.iter().find(|symptom| symptom.is_in(text))
}

/// `markdown` without its marks and its links' targets, for a terminal.
pub fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        rest = match link.split_once("](") {
            Some((label, after)) if !label.contains('[') => {
                text.push_str(label);
                after.split_once(')').map_or("", |(_, after)| after)
            }
            _ => {
                text.push('[');
                link
            }
        };
    }
    (text + rest).replace('`', "")
}

/// The target of the first link in `markdown`.
fn target(markdown: &str) -> Option<&str> {
    let (_, after) = markdown.split_once("](")?;
    Some(after.split_once(')')?.0)
}

/// Whether `line` has the parts of `pattern`, one after the other.
fn matches(pattern: &str, line: &str) -> bool {
    let mut rest = line;
    pattern
        .split(ANYTHING)
        .all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> impl Iterator<Item = &'static Symptom> {
        let tables = [JOB_LOG, KUBERNETES_DENIED, NOT_ASKED];
        tables.into_iter().flatten()
    }

    #[test]
    fn an_id_names_one_symptom() {
        let ids: BTreeSet<_> = all().map(|symptom| symptom.id).collect();
        assert_eq!(ids.len(), all().count());
    }

    #[test]
    fn what_a_reader_is_shown_has_each_pattern() {
        for symptom in all() {
            for pattern in symptom.patterns {
                assert!(matches(pattern, symptom.seen), "{}: {pattern}", symptom.id);
            }
        }
    }

    #[test]
    fn each_symptom_is_found_by_what_is_seen_of_it() {
        for table in [JOB_LOG, KUBERNETES_DENIED, NOT_ASKED] {
            for symptom in table {
                for pattern in symptom.patterns {
                    let line = format!("time=12:00 {} more", pattern.replace(ANYTHING, "x y"));
                    let found = find(table, &format!("first line\n{line}\n"));
                    assert_eq!(found.map(|found| found.id), Some(symptom.id), "{line}");
                }
            }
        }
    }

    #[test]
    fn the_parts_of_a_pattern_are_on_one_line_and_in_order() {
        assert!(matches("lstat …: no such file", "x lstat /a: no such file"));
        assert!(!matches("lstat …: no such file", ": no such file lstat /a"));
        assert_eq!(
            find(
                JOB_LOG,
                "cannot resolve a:\nlstat b: no such file or directory"
            ),
            None
        );
    }

    #[test]
    fn a_terminal_gets_the_words_of_a_link_and_the_path_of_its_page() {
        let text = "[the sysctls](nodes.md#sysctls), `a[0]`, and [more](#here)";
        assert_eq!(plain(text), "the sysctls, a[0], and more");
        let page = |cause| {
            Symptom {
                cause,
                ..JOB_LOG[0]
            }
            .page()
        };
        assert_eq!(page(text), "docs/nodes.md#sysctls");
        assert_eq!(page("[a](#b)"), "docs/troubleshooting.md#b");
        assert_eq!(page("[a](../examples/job.yaml)"), "examples/job.yaml");
        assert_eq!(page("turn it off"), "docs/troubleshooting.md");
    }
}
