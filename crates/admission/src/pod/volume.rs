//! A volume, and its source.
//!
//! `VolumeSource` is a union of some thirty keys, inlined into the volume. As
//! fields they would take thirty slots in every volume, of which one is used, so
//! the keys themselves are kept.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::object::{absent, integer, object};
use crate::text::{Text, quoted, wrong_type};

/// More than Kubernetes has, and few enough to compare each with each.
const MOST_SOURCES: usize = 64;

/// One entry of `volumes`.
#[derive(Debug, Clone, Default)]
pub struct Volume<'a> {
    /// `name`
    pub name: Text<'a>,
    /// Every key but `name` that has a value, known to podseal or not: a volume
    /// with a source of a newer API server is not an emptyDir. A volume without
    /// any source is one, as for the API server.
    pub sources: Vec<Text<'a>>,
    /// `hostPath`, which is one of the sources, too.
    pub host_path: Option<HostPath<'a>>,
    /// `defaultMode` of the files of `secret`, `configMap`, `downwardAPI` or `projected`.
    pub default_mode: Option<i64>,
}

/// `hostPath`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct HostPath<'a> {
    /// The path on the node.
    #[serde(borrow, deserialize_with = "absent")]
    pub path: Text<'a>,
}

impl<'a> Volume<'a> {
    /// An emptyDir.
    pub fn empty_dir(name: Text<'a>) -> Volume<'a> {
        Volume {
            name,
            sources: vec!["emptyDir".into()],
            host_path: None,
            default_mode: None,
        }
    }

    fn add_source(&mut self, source: Text<'a>) {
        // Nearly every volume has one.
        if self.sources.is_empty() {
            self.sources.reserve_exact(1);
        }
        self.sources.push(source);
    }

    /// Whether it is read-only, however it is mounted (Kubernetes, "Volumes",
    /// v1.37).
    pub fn is_read_only(&self) -> bool {
        let read_only = ["configMap", "secret", "downwardAPI", "projected", "image"];
        self.sources
            .iter()
            .any(|source| read_only.contains(&&**source))
    }

    /// Whether it is an emptyDir.
    pub fn is_empty_dir(&self) -> bool {
        self.sources.iter().all(|source| &**source == "emptyDir")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VolumeVisitor;
        impl<'de> Visitor<'de> for VolumeVisitor {
            type Value = Volume<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a volume")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Volume<'de>, A::Error> {
                let mut volume = Volume::default();
                let mut named = false;
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match &*key {
                        "name" if named => return Err(A::Error::duplicate_field("name")),
                        "name" => {
                            volume.name = map.next_value::<Option<_>>()?.unwrap_or_default();
                            named = true;
                        }
                        // If there are two, the API server
                        // uses the last, and which of them
                        // that is must not be a matter of
                        // opinion here.
                        source if volume.sources.iter().any(|known| &**known == source) => {
                            return Err(A::Error::custom(format_args!(
                                "the volume source {} is set twice",
                                quoted(source)
                            )));
                        }
                        _ if volume.sources.len() == MOST_SOURCES => {
                            return Err(A::Error::custom("a volume has one source"));
                        }
                        "hostPath" => {
                            volume.host_path = map.next_value::<Described>()?.0;
                            if volume.host_path.is_some() {
                                volume.add_source(key);
                            }
                        }
                        "secret" | "configMap" | "downwardAPI" | "projected" => {
                            if let Files(Some(files)) = map.next_value()? {
                                volume.default_mode = files.default_mode;
                                volume.add_source(key);
                            }
                        }
                        _ => {
                            if map.next_value::<Option<Object>>()?.is_some() {
                                volume.add_source(key);
                            }
                        }
                    }
                }
                Ok(volume)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Volume<'de>, E> {
                Err(wrong_type(text, &self))
            }
        }
        deserializer.deserialize_any(VolumeVisitor)
    }
}

/// A `hostPath`, or `null`.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Described<'a>(#[serde(borrow, deserialize_with = "object")] Option<HostPath<'a>>);

/// A source that is files, or `null`.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Files(#[serde(deserialize_with = "object")] Option<Modes>);

#[derive(serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Modes {
    #[serde(deserialize_with = "integer")]
    default_mode: Option<i64>,
}

/// Any object: a source's own fields are of no interest.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a volume source")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Object, E> {
                Err(wrong_type(text, &self))
            }
        }
        deserializer.deserialize_any(ObjectVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(json: &str) -> Result<Volume<'_>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_source_that_is_null_is_none() {
        let volume = volume(r#"{"name":"v","hostPath":null,"emptyDir":{}}"#).expect("a volume");
        assert_eq!(volume.sources, [Text::from("emptyDir")]);
        assert!(volume.host_path.is_none());
    }

    #[test]
    fn an_unknown_source_is_a_source() {
        let volume = volume(r#"{"name":"v","quantumDisk":{"spin":[1]}}"#).expect("a volume");
        assert_eq!(volume.sources, [Text::from("quantumDisk")]);
    }

    #[test]
    fn a_source_of_the_wrong_type_or_twice_is_an_error() {
        for json in [
            r#"{"hostPath":"/"}"#,
            r#"{"nfs":[]}"#,
            r#"{"hostPath":{},"hostPath":null}"#,
            r#"{"hostPath":{},"emptyDir":{},"emptyDir":null}"#,
        ] {
            assert!(volume(json).is_err(), "{json}");
        }
    }
}
