//! JSON Patch operations that create missing parents.

use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::Value;

use crate::pod::place::{List, Place};

/// A JSON Pointer under construction, with the parents that the document does not
/// have: the operation creates the first of them.
#[derive(Clone)]
pub(crate) struct Path {
    there: Pointer,
    missing: Vec<String>,
}

/// A JSON Pointer as text, which `jsonptr` would check again for every key.
#[derive(Clone)]
struct Pointer(String);

/// The length of most pointers.
const USUAL: usize = 64;

impl Pointer {
    /// A pointer that needs no escapes.
    fn plain(text: &str) -> Pointer {
        let mut pointer = String::with_capacity(USUAL);
        pointer.push_str(text);
        Pointer(pointer)
    }

    fn push(&mut self, key: &str) {
        self.0.push('/');
        self.0.push_str(Token::new(key).encoded());
    }

    fn finish(self) -> PointerBuf {
        PointerBuf::parse(self.0).expect("its keys are escaped")
    }
}

impl Path {
    pub(crate) fn new(place: Place) -> Path {
        let mut there = Pointer::plain(match place {
            Place::Pod => "/spec",
            Place::Container(at) => match at.list {
                List::Init => "/spec/initContainers",
                List::Regular => "/spec/containers",
                List::Ephemeral => "/spec/ephemeralContainers",
            },
        });
        if let Place::Container(at) = place {
            there.push(&at.index.to_string());
        }
        Path {
            there,
            missing: Vec::new(),
        }
    }

    /// The path to an object or list in `metadata`; `there` is whether the
    /// document has it.
    pub(crate) fn metadata(key: &str, there: bool) -> Path {
        let path = Path {
            there: Pointer::plain("/metadata"),
            missing: Vec::new(),
        };
        path.object(key, there)
    }

    /// The path to the object or list `key` in this one; `there` is whether the
    /// document has it.
    pub(crate) fn object(mut self, key: &str, there: bool) -> Path {
        if there && self.missing.is_empty() {
            self.there.push(key);
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
                path.push(key);
                value
            }
            Some((first, below)) => {
                path.push(first);
                let below = below.iter().map(String::as_str).chain([key]);
                below.rev().fold(value, |value, key| {
                    Value::Object([(key.to_owned(), value)].into_iter().collect())
                })
            }
        };
        let path = path.finish();
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
            path.push(key);
        }
        let path = path.finish();
        PatchOperation::Remove(RemoveOperation { path })
    }
}
