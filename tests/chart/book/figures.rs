//! Figures stand once, on the page of measurements. Where another page shows some of
//! them, a comment before its table names their source:
//!
//! ```text
//! <!-- from: docs/measurements.md#summary -->
//! | what | measured |
//! ```
//!
//! Each row of such a table is a row of a table under that heading, in the columns of
//! the same names. The source may have further rows and columns.

use super::links::anchor;
use super::root;
use support::book::repository::pages;

/// A table of a page: its columns' names, and its rows.
#[derive(Clone, Debug, PartialEq)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Whether the table has a row with these cells in these columns.
    fn has(&self, columns: &[String], cells: &[String]) -> bool {
        let place = |name| self.columns.iter().position(|column| column == name);
        let places: Option<Vec<usize>> = columns.iter().map(place).collect();
        places.is_some_and(|places| {
            self.rows.iter().any(|row| {
                let found = places.iter().map(|place| row.get(*place));
                found.eq(cells.iter().map(Some))
            })
        })
    }
}

/// Text of a page between its fenced blocks.
enum Part<'a> {
    Heading(&'a str),
    /// What a comment `from:` says.
    From(&'a str),
    Table(Table),
}

fn parts(markdown: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut in_block = false;
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        in_block ^= line.trim_start().starts_with("```");
        if in_block {
            continue;
        }
        if line.starts_with('#') {
            parts.push(Part::Heading(line));
        } else if let Some(source) = line.strip_prefix("<!-- from: ") {
            parts.push(Part::From(source.trim_end_matches("-->").trim()));
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            let columns = rows.remove(0);
            let rows = rows.into_iter().skip(1).collect();
            parts.push(Part::Table(Table { columns, rows }));
        }
    }
    parts
}

fn cells(row: &str) -> Vec<String> {
    let cells = row.trim().trim_matches('|').split('|');
    cells.map(|cell| cell.trim().to_owned()).collect()
}

/// The tables of a page that are taken from another, each with its source.
fn taken(markdown: &str) -> Vec<(&str, Table)> {
    let parts = parts(markdown);
    let sources = parts.iter().enumerate();
    sources
        .filter_map(|(index, part)| match part {
            Part::From(source) => match parts.get(index + 1) {
                Some(Part::Table(table)) => Some((*source, table.clone())),
                _ => panic!("no table follows `from: {source}`"),
            },
            _ => None,
        })
        .collect()
}

/// The tables of a page that stand directly under a heading.
fn under(markdown: &str, heading: &str) -> Vec<Table> {
    let mut is_there = false;
    let mut tables = Vec::new();
    for part in parts(markdown) {
        match part {
            Part::Heading(line) => is_there = anchor(line) == heading,
            Part::Table(table) if is_there => tables.push(table),
            _ => {}
        }
    }
    tables
}

/// The rows of a table that are not in its source.
fn strangers(table: &Table, sources: &[Table]) -> Vec<String> {
    let rows = table.rows.iter();
    rows.filter(|row| !sources.iter().any(|source| source.has(&table.columns, row)))
        .map(|row| row.join(" | "))
        .collect()
}

#[test]
fn every_figure_is_that_of_its_source() {
    let read = |page: &str| std::fs::read_to_string(root().join(page)).expect("the page is there");
    let mut with_figures = Vec::new();
    for page in pages() {
        let text = read(&page);
        for (source, table) in taken(&text) {
            let (file, heading) = source.split_once('#').expect("a page and its heading");
            let strangers = strangers(&table, &under(&read(file), heading));
            assert!(
                strangers.is_empty(),
                "{page}, not in {source}: {strangers:#?}"
            );
            with_figures.push((page.clone(), table.rows.len()));
        }
    }
    let readme = with_figures.iter().find(|(page, _)| page == "README.md");
    assert!(
        readme.is_some_and(|(_, rows)| *rows > 0),
        "{with_figures:?}"
    );
}

#[test]
fn a_figure_that_differs_on_either_side_is_found() {
    let source = "# All\n| what | measured | goal |\n|---|---|---|\n| size | 3 MiB | < 4 |\n\
                  ## Other\n| what | measured |\n|---|---|\n| time | 5 s |\n";
    let found = |rows: &str, source: &str| {
        let page = format!("<!-- from: x.md#all -->\n| what | measured |\n|---|---|\n{rows}");
        let taken = taken(&page);
        assert_eq!(taken.len(), 1);
        strangers(&taken[0].1, &under(source, "all"))
    };
    assert!(found("| size | 3 MiB |\n", source).is_empty());
    assert_eq!(found("| size | 2 MiB |\n", source), ["size | 2 MiB"]);
    let changed = source.replace("3 MiB", "2 MiB");
    assert_eq!(found("| size | 3 MiB |\n", &changed), ["size | 3 MiB"]);
    assert_eq!(found("| time | 5 s |\n", source), ["time | 5 s"]);
    let renamed = source.replace("measured | goal", "seen | goal");
    assert_eq!(found("| size | 3 MiB |\n", &renamed), ["size | 3 MiB"]);
}
