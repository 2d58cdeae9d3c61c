//! Reads namespaces from the API server's answers, and keeps what podseal uses.
//!
//! | part | kept |
//! |---|---|
//! | labels | those that podseal reads, and those that namespace rules require |
//! | annotations | those that podseal reads |
//! | others under `podseal.io/` | the keys of [`KEPT`] of them, for the warning that names them |
//!
//! Everything else is skipped without buffering it: users who may edit namespaces can
//! write as much as etcd accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use self::page::{PageEnd, read_page};
use super::learned::Found;
use super::version::Version;
use crate::kubernetes::json_stream::{JsonStream, StreamError};
use admission::namespace::Namespace;
use admission::namespace::unknown_keys::{KEPT, Kind, is_known};

mod page;

/// The maximum length of a value: a list of about sixty runners.
const VALUE: usize = 4096;
/// Replaces a longer value. No profile, level, mode, user, path or resource has this
/// name, so it relaxes nothing, and a denial that quotes it explains the cause.
const TOO_LONG: &str = "(longer than 4096 bytes)";
/// The longest name of an object.
const NAME: usize = 253;
/// The longest resource version or event type.
const WORD: usize = 128;
/// The maximum length of an error message.
const MESSAGE: usize = 4096;

/// A namespace, or a `Status` in its place.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object {
    /// `metadata.name`
    pub(super) name: String,
    /// `metadata.resourceVersion`
    pub(super) version: String,
    /// Whether it has a `metadata.deletionTimestamp`.
    pub(super) is_terminating: bool,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Of a `Status`.
    pub(super) code: u16,
    /// Of a `Status`.
    pub(super) message: String,
}

/// An event of a watch.
#[derive(Debug, PartialEq)]
pub(super) struct Event {
    pub(super) what: EventKind,
    pub(super) object: Object,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The namespace was added or modified.
    Present,
    /// It was deleted, or its labels no longer match the selector.
    Deleted,
    /// No other event up to this version.
    Bookmark,
    /// The watch ends with this `Status`.
    Error,
}

impl Object {
    /// Reads an object. Labels with these `keys` are kept in addition.
    pub(super) async fn read(
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<Object, StreamError> {
        let mut object = Object::default();
        let mut members = json.object().await?;
        while let Some(key) = json.next_key(&mut members).await? {
            match &*key {
                "metadata" => object.read_metadata(json, keys).await?,
                "code" => object.code = json.number().await?,
                "message" => {
                    let message = json.text(MESSAGE).await?;
                    object.message = message.unwrap_or_else(|| TOO_LONG.to_owned());
                }
                _ => json.skip().await?,
            }
        }
        Ok(object)
    }

    /// Reads an object that is a whole answer.
    pub(super) async fn read_alone(
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<Object, StreamError> {
        let object = Object::read(json, keys).await?;
        match json.begins().await? {
            true => Err(StreamError::Invalid("data follows the object")),
            false => Ok(object),
        }
    }

    async fn read_metadata(
        &mut self,
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<(), StreamError> {
        let mut members = json.object().await?;
        while let Some(key) = json.next_key(&mut members).await? {
            match &*key {
                "name" => self.name = json.short_text(NAME).await?,
                "resourceVersion" => self.version = json.short_text(WORD).await?,
                "deletionTimestamp" => {
                    self.is_terminating = !json.short_text(WORD).await?.is_empty();
                }
                "labels" => self.labels = read_pairs(json, Kind::Label, keys).await?,
                "annotations" => {
                    self.annotations = read_pairs(json, Kind::Annotation, &BTreeSet::new()).await?;
                }
                _ => json.skip().await?,
            }
        }
        Ok(())
    }
}

impl From<Object> for Namespace {
    fn from(object: Object) -> Namespace {
        Namespace {
            name: object.name,
            labels: Arc::new(object.labels),
            annotations: Arc::new(object.annotations),
        }
    }
}

async fn read_pairs(
    json: &mut JsonStream,
    kind: Kind,
    keys: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, StreamError> {
    let mut kept = BTreeMap::new();
    let mut unread = 0;
    let mut members = json.object().await?;
    while let Some(key) = json.next_key(&mut members).await? {
        if is_known(kind, &key) || keys.contains(&key) {
            let value = json.text(VALUE).await?;
            kept.insert(key, value.unwrap_or_else(|| TOO_LONG.to_owned()));
            continue;
        }
        if Namespace::reads(&key) && unread < KEPT {
            unread += 1;
            kept.insert(key, String::new());
        }
        json.skip().await?;
    }
    Ok(kept)
}

impl From<Object> for Found {
    fn from(object: Object) -> Found {
        Found {
            version: Version::of(&object.version),
            is_terminating: object.is_terminating,
            namespace: Arc::new(object.into()),
        }
    }
}

impl Event {
    /// Reads an event. Type and object can be in any order. Labels with these `keys` are
    /// kept in addition.
    pub(super) async fn read(
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<Event, StreamError> {
        let (mut what, mut object) = (None, None);
        let mut members = json.object().await?;
        while let Some(key) = json.next_key(&mut members).await? {
            match &*key {
                "type" => what = Some(EventKind::of(&json.short_text(WORD).await?)?),
                "object" => object = Some(Object::read(json, keys).await?),
                _ => json.skip().await?,
            }
        }
        let (Some(what), Some(object)) = (what, object) else {
            return Err(StreamError::Invalid("an event has no type or no object"));
        };
        let object = match what {
            EventKind::Present | EventKind::Deleted => named(object)?,
            EventKind::Bookmark | EventKind::Error => object,
        };
        Ok(Event { what, object })
    }
}

impl EventKind {
    fn of(kind: &str) -> Result<EventKind, StreamError> {
        match kind {
            "ADDED" | "MODIFIED" => Ok(EventKind::Present),
            "DELETED" => Ok(EventKind::Deleted),
            "BOOKMARK" => Ok(EventKind::Bookmark),
            "ERROR" => Ok(EventKind::Error),
            _ => Err(StreamError::Invalid("an event has an unknown type")),
        }
    }
}

fn named(object: Object) -> Result<Object, StreamError> {
    match object.name.as_str() {
        "" => Err(StreamError::Invalid("an object has no name")),
        _ => Ok(object),
    }
}

#[cfg(test)]
mod tests;
