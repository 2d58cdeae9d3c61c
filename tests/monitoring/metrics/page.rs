//! `docs/metrics.md` describes the metrics as they are exposed.

use std::collections::{BTreeMap, BTreeSet};

use support::device_plugin::DevicePlugin;

use crate::metrics::{PLAIN, complete, labels, scrape, series};

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// A family of metrics, as it is exposed or as it is documented.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

fn exposed(exposition: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|line| line.split_once(' '))
        {
            let family = Family {
                kind: kind.to_owned(),
                ..Family::default()
            };
            let known = families.insert(name.to_owned(), family);
            assert_eq!(known, None, "{name} twice");
        }
    }
    for series in series(exposition) {
        let (name, _) = series.split_once('{').unwrap_or((series, ""));
        let parts = ["_bucket", "_sum", "_count"];
        let part_of = parts.iter().find_map(|part| name.strip_suffix(part));
        let is_family = families.contains_key(name);
        let name = part_of.filter(|_| !is_family).unwrap_or(name);
        let family = families.get_mut(name).expect("a family with a type");
        let names = labels(series).into_iter().map(|(name, _)| name.to_owned());
        family.labels.extend(names.filter(|name| name != "le"));
    }
    families
}

/// What the names of the device plugin's own metrics begin with.
const PLUGIN: &str = "podseal_device_plugin_";

/// The metrics that the page lists.
fn documented() -> BTreeMap<String, Family> {
    let rows = PAGE
        .lines()
        .filter(|line| line.starts_with("| `podseal_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, question] = &cells[..] else {
            panic!("four cells: {row}");
        };
        assert!(question.ends_with('?'), "{row}");
        let labels = labels.split(", ").filter(|label| *label != "–");
        let family = Family {
            kind: (*kind).to_owned(),
            labels: labels
                .map(|label| label.trim_matches('`').to_owned())
                .collect(),
        };
        (name.trim_matches('`').to_owned(), family)
    })
    .collect()
}

fn exposition_of_the_device_plugin() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = DevicePlugin::start(folder.path(), folder.path(), |_| {});
    plugin.status("/metrics").1
}

#[test]
fn the_page_lists_every_metric_with_its_type_and_labels_and_every_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, exposition) = scrape(&complete(folder.path()), PLAIN);
    let (mut all_exposed, documented) = (exposed(&exposition), documented());
    // Another process, which has some of them, too.
    let plugin = exposition_of_the_device_plugin();
    for (name, family) in exposed(&plugin) {
        let shared = all_exposed.insert(name.clone(), family.clone());
        let is_own = name.starts_with(PLUGIN);
        assert_eq!(shared, (!is_own).then_some(family), "{name}");
    }
    assert_eq!(all_exposed, documented);
    let both = series(&exposition).into_iter().chain(series(&plugin));
    for (name, value) in both.flat_map(labels) {
        let is_open = ["control", "id", "profile", "le", "version", "commit"].contains(&name);
        let quoted = format!("`{value}`");
        assert!(is_open || PAGE.contains(&quoted), "{name}: {value}");
    }
    // The queries use metrics that exist.
    let names: BTreeSet<_> = series(&exposition)
        .into_iter()
        .chain(series(&plugin))
        .map(|series| series.split('{').next().expect("a name"))
        .collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in PAGE.split(|c| !is_word(c)) {
        let is_metric = word.starts_with("podseal_") || word.starts_with("process_");
        let is_known = names.contains(word) || documented.contains_key(word);
        assert!(!is_metric || is_known, "{word}");
    }
}
