//! The folders of the core import in one direction, so that each can be read without
//! those above it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the bottom up. Those on one line do not import each other.
const LAYERS: &[&[&str]] = &[
    &["text"],
    &["pod"],
    &["standards", "gitlab", "request"],
    &["profile"],
    &["correct", "namespace"],
    &["cautions"],
    &["lint", "decision"],
    &["mutate", "validate", "response"],
];

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What a file's code names after `crate::`, without its tests and comments.
fn imports(text: &str) -> BTreeSet<&str> {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let paths = lines.flat_map(|line| line.split("crate::").skip(1));
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    paths
        .map(|path| &path[..path.find(|c| !is_name(c)).unwrap_or(path.len())])
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_point_down_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let mut seen = BTreeSet::new();
    for path in all {
        let own = path
            .strip_prefix(&source)
            .expect("it is below")
            .to_path_buf();
        let first = own.iter().next().expect("a name").to_string_lossy();
        let own_folder = first.trim_end_matches(".rs");
        if own_folder == "lib" {
            continue;
        }
        let own_layer = layer(own_folder).unwrap_or_else(|| panic!("{own_folder} has no layer"));
        seen.insert(own_folder.to_owned());
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(
            !text.contains("crate::{"),
            "{}: one line a folder",
            own.display()
        );
        for import in imports(&text)
            .into_iter()
            .filter(|name| *name != own_folder)
        {
            let below = layer(import).unwrap_or_else(|| panic!("{import} has no layer"));
            assert!(below < own_layer, "{} imports {import}", own.display());
        }
    }
    assert_eq!(
        seen.len(),
        LAYERS.iter().map(|layer| layer.len()).sum::<usize>()
    );
}

/// What may be depended on: nothing that serves, watches, waits or logs.
const PURE: &[&str] = &[
    "base64",
    "json-patch",
    "memchr",
    "serde",
    "serde-saphyr",
    "serde_json",
    "serde_path_to_error",
    "strsim",
    "thiserror",
];

#[test]
fn dependencies_neither_serve_nor_wait_nor_log() {
    let manifest = include_str!("../Cargo.toml");
    let (_, rest) = manifest
        .split_once("\n[dependencies]\n")
        .expect("it has some");
    let section = rest.split("\n[").next().unwrap_or_default();
    let lines = section.lines().filter(|line| !line.is_empty());
    let names: Vec<_> = lines
        .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
        .collect();
    assert_eq!(names, PURE);
}
