//! JSON Patch operations that create whatever parents they need.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::Value;

use super::pod::{List, Place};

/// A JSON Pointer under construction that remembers where the document ends:
/// the first parent that is missing is the one the operation has to create.
#[derive(Clone)]
pub(super) struct Path {
    tokens: Vec<String>,
    /// How many of `tokens` the document has.
    there: usize,
}

impl Path {
    pub(super) fn new(place: Place) -> Path {
        let tokens = match place {
            Place::Pod => vec!["spec".to_owned()],
            Place::Container(list, index) => {
                let list = match list {
                    List::Init => "initContainers",
                    List::Regular => "containers",
                    List::Ephemeral => "ephemeralContainers",
                };
                vec!["spec".to_owned(), list.to_owned(), index.to_string()]
            }
        };
        Path {
            there: tokens.len(),
            tokens,
        }
    }

    /// The same, below `metadata` instead of `spec`.
    pub(super) fn metadata(mut self, key: &str, there: bool) -> Path {
        "metadata".clone_into(&mut self.tokens[0]);
        self.object(key, there)
    }

    /// Down into the object or list `key`, which the document has or has not.
    pub(super) fn object(mut self, key: &str, there: bool) -> Path {
        if there && self.there == self.tokens.len() {
            self.there += 1;
        }
        self.tokens.push(key.to_owned());
        self
    }

    fn pointer(tokens: &[String]) -> PointerBuf {
        PointerBuf::from_tokens(tokens)
    }

    /// Sets `key` of the object, creating the object and its parents.
    pub(super) fn put(mut self, key: &str, replace: bool, value: Value) -> PatchOperation {
        self.tokens.push(key.to_owned());
        let created = self
            .tokens
            .split_off((self.there + 1).min(self.tokens.len()));
        let value = created.into_iter().rev().fold(value, |value, key| {
            Value::Object([(key, value)].into_iter().collect())
        });
        let path = Path::pointer(&self.tokens);
        if replace {
            PatchOperation::Replace(ReplaceOperation { path, value })
        } else {
            PatchOperation::Add(AddOperation { path, value })
        }
    }

    /// Appends to the list, creating it where it is missing.
    pub(super) fn append(mut self, there: bool, item: Value) -> PatchOperation {
        if there {
            self.put("-", false, item)
        } else {
            let key = self.tokens.pop().expect("a list has a key");
            self.put(&key, false, Value::Array(vec![item]))
        }
    }

    /// Takes `key` out of the object.
    pub(super) fn remove(mut self, key: &str) -> PatchOperation {
        self.tokens.push(key.to_owned());
        PatchOperation::Remove(RemoveOperation {
            path: Path::pointer(&self.tokens),
        })
    }
}
