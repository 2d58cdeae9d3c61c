//! Links between pages lead somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use support::book::repository::pages;

use super::root;

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_in_it() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).expect("the page is there");
        for target in targets(&text) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&page).parent().expect("a page is in a folder");
            let path = match file {
                "" => root().join(&page),
                file => root().join(folder).join(file),
            };
            let is_there = match (path.exists(), heading) {
                (there, "") => there,
                (_, heading) => std::fs::read_to_string(&path)
                    .is_ok_and(|text| anchors(&text).contains(heading)),
            };
            if !is_there {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What `[…](TARGET)` links to, outside of code.
fn targets(markdown: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    let mut in_block = false;
    for line in markdown.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if !in_block {
            let ends = line.split("](").skip(1);
            targets.extend(
                ends.filter_map(|rest| rest.split_once(')'))
                    .map(|(target, _)| target),
            );
        }
    }
    targets
}

/// The names by which a page's headings are linked to.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let mut anchors = BTreeSet::new();
    for line in markdown.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if in_block || !line.starts_with('#') {
            continue;
        }
        let anchor = anchor(line);
        let mut numbered = anchor.clone();
        let mut number = 0;
        while !anchors.insert(numbered.clone()) {
            number += 1;
            numbered = format!("{anchor}-{number}");
        }
    }
    anchors
}

/// The name by which a heading is linked to, if no other has the same words.
pub(super) fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}
