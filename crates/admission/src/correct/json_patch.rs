//! JSON Patch operations that create missing parents.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::Value;

use crate::pod::place::{List, Place};

/// A JSON Pointer under construction, with the parents that the document does not
/// have: the operation creates the first of them.
#[derive(Clone)]
pub(crate) struct Path {
    there: PointerBuf,
    missing: Vec<String>,
}

impl Path {
    pub(crate) fn new(place: Place) -> Path {
        let mut there = PointerBuf::new();
        there.push_back("spec");
        if let Place::Container(at) = place {
            there.push_back(match at.list {
                List::Init => "initContainers",
                List::Regular => "containers",
                List::Ephemeral => "ephemeralContainers",
            });
            there.push_back(at.index);
        }
        Path {
            there,
            missing: Vec::new(),
        }
    }

    /// The path to an object or list in `metadata`; `there` is whether the
    /// document has it.
    pub(crate) fn metadata(key: &str, there: bool) -> Path {
        let mut metadata = PointerBuf::new();
        metadata.push_back("metadata");
        let path = Path {
            there: metadata,
            missing: Vec::new(),
        };
        path.object(key, there)
    }

    /// The path to the object or list `key` in this one; `there` is whether the
    /// document has it.
    pub(crate) fn object(mut self, key: &str, there: bool) -> Path {
        if there && self.missing.is_empty() {
            self.there.push_back(key);
        } else {
            self.missing.push(key.to_owned());
        }
        self
    }

    /// Sets `key` of the object, creating the object and its parents.
    pub(crate) fn put(self, key: &str, replace: bool, value: Value) -> PatchOperation {
        let Path { there, missing } = self;
        let mut path = there;
        let value = match missing.split_first() {
            None => {
                path.push_back(key);
                value
            }
            Some((first, below)) => {
                path.push_back(first);
                let below = below.iter().map(String::as_str).chain([key]);
                below.rev().fold(value, |value, key| {
                    Value::Object([(key.to_owned(), value)].into_iter().collect())
                })
            }
        };
        if replace {
            PatchOperation::Replace(ReplaceOperation { path, value })
        } else {
            PatchOperation::Add(AddOperation { path, value })
        }
    }

    /// Appends to the list, creating it if it is missing.
    pub(crate) fn append(mut self, there: bool, item: Value) -> PatchOperation {
        if there {
            self.put("-", false, item)
        } else {
            let key = self.missing.pop().expect("a list has a key");
            self.put(&key, false, Value::Array(vec![item]))
        }
    }

    /// Removes `key` from the object.
    pub(crate) fn remove(self, key: &str) -> PatchOperation {
        let Path { there, missing } = self;
        let mut path = there;
        for key in missing.iter().map(String::as_str).chain([key]) {
            path.push_back(key);
        }
        PatchOperation::Remove(RemoveOperation { path })
    }
}
