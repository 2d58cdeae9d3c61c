//! `null`, as the API server reads it: absent as a field, empty as an element.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// A field that is its default where it is `null`.
pub(super) fn absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A list that is empty where it is `null`.
pub(super) fn elements<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(optional_elements(deserializer)?.unwrap_or_default())
}

/// A list for which it matters whether it is there, since a patch that appends
/// to it has to create it first.
pub(super) fn optional_elements<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    let elements: Option<Elements<T>> = Option::deserialize(deserializer)?;
    Ok(elements.map(|elements| elements.0))
}

/// A list whose `null`s keep their place, so that an index still means the
/// same element to the API server.
struct Elements<T>(Vec<T>);

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Elements<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementsVisitor<T>(PhantomData<T>);
        impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for ElementsVisitor<T> {
            type Value = Elements<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Elements<T>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element::<Option<T>>()? {
                    elements.push(element.unwrap_or_default());
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(ElementsVisitor(PhantomData))
    }
}
