//! How Kubernetes' objects are read: more strictly than serde does by itself,
//! and as leniently as the API server.
//!
//! A derived `Deserialize` takes a list for a struct, field by field in the
//! order of the source; no other reader of these objects does, so here only an
//! object is one. `null` is absent as a field, and an element without fields in
//! a list, where it keeps its place: an index means the same to the API server.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A field that is its default where it is `null`.
pub(super) fn absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object that may be missing.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|Object(object)| object))
}

/// An object whose fields are all absent where it is missing.
pub(super) fn object_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(object(deserializer)?.unwrap_or_default())
}

/// A list of objects for which it matters whether it is there, since a patch
/// that appends to it has to create it first.
pub(super) fn objects<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let objects = Option::<Vec<Option<Object<T>>>>::deserialize(deserializer)?;
    let element = |object: Option<Object<T>>| object.map(|Object(o)| o).unwrap_or_default();
    Ok(objects.map(|objects| objects.into_iter().map(element).collect()))
}

/// A list of objects that is empty where it is missing.
pub(super) fn objects_or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(objects(deserializer)?.unwrap_or_default())
}

/// A struct that only an object can be read into.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
