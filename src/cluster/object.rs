//! Namespaces as the API server sends them, read for what podseal keeps.
//!
//! Kubernetes' own types would hold the managed fields and foreign annotations
//! of each object as well: of a page of the list, many times what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::admission::policy::Namespace;
use crate::admission::text::Text;

/// A namespace, or its metadata alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    metadata: Metadata,
}

/// A page of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    #[serde(deserialize_with = "or_default")]
    pub(super) metadata: PageMetadata,
    /// Null where there is none: Go writes an empty list so.
    #[serde(deserialize_with = "or_default")]
    pub(super) items: Vec<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMetadata {
    pub(super) resource_version: String,
    /// Where the next page begins; empty on the last.
    #[serde(rename = "continue", deserialize_with = "or_default")]
    pub(super) next: String,
}

/// A line of a watch.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub(super) enum Line {
    Added(Object),
    Modified(Object),
    Deleted(Object),
    /// Nothing happened, up to this version.
    Bookmark(Object),
    Error(Refusal),
}

/// The `Status` that ends a watch.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    resource_version: String,
    labels: Ours,
    annotations: Ours,
}

fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Object {
    /// `metadata.resourceVersion`
    pub(super) fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl From<Object> for Namespace {
    fn from(Object { metadata }: Object) -> Namespace {
        Namespace {
            name: metadata.name,
            labels: Arc::new(metadata.labels.0),
            annotations: Arc::new(metadata.annotations.0),
        }
    }
}

/// A namespace with all its labels.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Labelled {
    metadata: LabelledMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LabelledMetadata {
    name: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    annotations: Ours,
}

impl Labelled {
    /// What is kept of it, with the labels of these keys.
    pub(super) fn keeping(self, keys: &BTreeSet<String>) -> Namespace {
        let LabelledMetadata {
            name,
            labels,
            annotations: Ours(annotations),
        } = self.metadata;
        Namespace::keeping(name, labels, annotations, keys)
    }
}

/// Labels or annotations, of which only podseal's own are kept: somebody may
/// have written a quarter of a megabyte of others.
#[derive(Debug, Default)]
struct Ours(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Ours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OursVisitor;
        impl<'de> Visitor<'de> for OursVisitor {
            type Value = Ours;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_unit<E>(self) -> Result<Ours, E> {
                Ok(Ours::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ours, A::Error> {
                let mut ours = BTreeMap::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if Namespace::reads(&key) {
                        ours.insert(key.to_string(), map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Ours(ours))
            }
        }
        deserializer.deserialize_any(OursVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_for_podseals_own_labels_whatever_else_it_holds() {
        let line = r#"{"object": {"kind": "PartialObjectMetadata", "metadata": {
            "name": "ci", "resourceVersion": "7", "managedFields": [{"manager": "x"}],
            "labels": {"podseal.io/profile": "rootless", "team": "x"},
            "annotations": {"podseal.io/runner": "a \"b\"", "podseal.example/x": "1"}}},
            "type": "ADDED"}"#;
        let Ok(Line::Added(object)) = serde_json::from_str(line) else {
            panic!("{:?}", serde_json::from_str::<Line>(line));
        };
        assert_eq!(object.version(), "7");
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = Namespace::new(
            "ci",
            [own("podseal.io/profile", "rootless")],
            [own("podseal.io/runner", "a \"b\"")],
        );
        assert_eq!(Namespace::from(object), expected);
    }

    #[test]
    fn a_list_of_nothing_is_null_and_no_error() {
        let page: Page = serde_json::from_str(
            r#"{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "9"}, "items": null}"#,
        )
        .expect("a page");
        assert!(page.items.is_empty() && page.metadata.resource_version == "9");
    }

    #[test]
    fn the_last_page_says_so_by_saying_nothing() {
        let page: Page = serde_json::from_str(
            r#"{"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "a"}}]}"#,
        )
        .expect("a page");
        assert_eq!((page.metadata.next.as_str(), page.items.len()), ("", 1));
    }
}
