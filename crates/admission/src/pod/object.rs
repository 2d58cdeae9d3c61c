//! Reads Kubernetes' objects more strictly than serde, and as leniently as the API
//! server.
//!
//! A derived `Deserialize` accepts a list as a struct, field by field in the order
//! of the source. The API server does not, so here only an object is accepted. A
//! `null` field is absent. A `null` element of a list is an object without fields
//! and keeps its index, which patches use.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::text::{Text, wrong_type};

/// A field that is its default where it is `null`.
pub(crate) fn absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object that may be missing.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|Object(object)| object))
}

/// An object whose fields are all absent where it is missing.
pub(crate) fn object_or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(object(deserializer)?.unwrap_or_default())
}

/// A list of objects for which it matters whether it is there, since a patch
/// that appends to it has to create it first.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    struct Element<T>(PhantomData<T>);
    impl<'de, T: Default + Deserialize<'de>> Read<'de> for Element<T> {
        type Read = Option<Object<T>>;
        type Value = T;
        fn value(object: Self::Read) -> T {
            object.map(|Object(object)| object).unwrap_or_default()
        }
    }
    list::<_, Element<T>>(deserializer)
}

/// A list of objects that is empty where it is missing.
pub(crate) fn objects_or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(objects(deserializer)?.unwrap_or_default())
}

/// A list of texts.
pub(crate) fn texts<'de: 'a, 'a, D>(deserializer: D) -> Result<Option<Vec<Text<'a>>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Element;
    impl<'de> Read<'de> for Element {
        type Read = Text<'de>;
        type Value = Text<'de>;
        fn value(text: Text<'de>) -> Text<'de> {
            text
        }
    }
    list::<_, Element>(deserializer)
}

/// A list of numbers.
pub(crate) fn integers<'de, D>(deserializer: D) -> Result<Option<Vec<i64>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Element;
    impl<'de> Read<'de> for Element {
        type Read = Integer<i64>;
        type Value = i64;
        fn value(Integer(number): Integer<i64>) -> i64 {
            number
        }
    }
    list::<_, Element>(deserializer)
}

/// How an element of a list is read.
trait Read<'de> {
    type Read: Deserialize<'de>;
    type Value;
    fn value(read: Self::Read) -> Self::Value;
}

fn list<'de, D, R>(deserializer: D) -> Result<Option<Vec<R::Value>>, D::Error>
where
    D: Deserializer<'de>,
    R: Read<'de>,
{
    struct ListVisitor<R>(PhantomData<R>);
    impl<'de, R: Read<'de>> Visitor<'de> for ListVisitor<R> {
        type Value = Option<Vec<R::Value>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = list.next_element()? {
                elements.push(R::value(element));
            }
            Ok(Some(elements))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Err(wrong_type(text, &self))
        }
    }
    deserializer.deserialize_any(ListVisitor::<R>(PhantomData))
}

/// A flag that may be missing.
pub(crate) fn flag<'de, D>(deserializer: D) -> Result<Option<bool>, D::Error>
where
    D: Deserializer<'de>,
{
    struct FlagVisitor;
    impl Visitor<'_> for FlagVisitor {
        type Value = Option<bool>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a boolean")
        }
        fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
            Ok(Some(flag))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Err(wrong_type(text, &self))
        }
    }
    deserializer.deserialize_any(FlagVisitor)
}

/// A flag that is false where it is missing.
pub(crate) fn flag_or_false<'de, D>(deserializer: D) -> Result<bool, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(flag(deserializer)?.unwrap_or_default())
}

/// A number that may be missing.
pub(crate) fn integer<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64>,
{
    let number = Option::<Integer<N>>::deserialize(deserializer)?;
    Ok(number.map(|Integer(number)| number))
}

/// A number that is 0 where it is missing.
pub(crate) fn integer_or_0<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64> + Default,
{
    Ok(integer(deserializer)?.unwrap_or_default())
}

/// A whole number.
struct Integer<N>(N);

impl<'de, N: TryFrom<i64>> Deserialize<'de> for Integer<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerVisitor<N>(PhantomData<N>);
        impl<N: TryFrom<i64>> Visitor<'_> for IntegerVisitor<N> {
            type Value = Integer<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                let out_of_range = |_| E::invalid_value(Unexpected::Signed(number), &self);
                N::try_from(number).map(Integer).map_err(out_of_range)
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                match i64::try_from(number) {
                    Ok(number) => self.visit_i64(number),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Err(wrong_type(text, &self))
            }
        }
        deserializer.deserialize_any(IntegerVisitor(PhantomData))
    }
}

/// A struct that only an object can be read into.
pub(crate) struct Object<T>(pub(crate) T);

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
            fn visit_str<E: Error>(self, text: &str) -> Result<Object<T>, E> {
                Err(wrong_type(text, &self))
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}
