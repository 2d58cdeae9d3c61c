//! How much memory answering a review takes, before it is read.
//!
//! Three bytes of JSON can be a container of half a kilobyte in memory, and the
//! memory for a decision grows with the pod's lists. So the entries of all lists
//! are counted in the bytes, without storing them, and the pods of a review are not
//! read if they have more than any real pod. The memory for all others is a small
//! multiple of the body, and is reserved before anything is read.
//!
//! Most reviews need no such count: the number of braces and commas is an upper
//! bound, and much faster to find.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most containers of a pod, in all lists. Kubernetes has no limit but the size
/// of an object.
const CONTAINERS: usize = 1024;
/// The most entries of a pod's lists. More are read if the body has
/// [`BYTES_AN_ENTRY`] bytes for each further one.
///
/// These limits apply to each pod of a review. Otherwise a pod that may be created
/// could not be updated, since the review of an update has it twice: no controller
/// could remove a finalizer from it.
const ENTRIES: usize = 4096;
const BYTES_AN_ENTRY: usize = 32;

/// What a response and its record take, whatever the review.
const ANSWER: usize = 128 * 1024;
/// What a text takes for each of its bytes: a copy if it contains an escape, the
/// parser's own buffer, and the part that messages show.
const TEXT: usize = 4;
/// The copy of a small review without its variables.
const ROOM: usize = 1;
/// What a container takes, with what is kept of it during validation.
const CONTAINER: usize = 1024;
/// The same for any other object in a list, while the list grows.
const OBJECT: usize = 512;
/// The same for anything else in a list, and for an entry of a map.
const ENTRY: usize = 192;

/// Below this bound, counting is not worth it.
const SMALL: usize = 1024 * 1024;

/// How deep the fields of `request` are.
const IN_REQUEST: usize = 1;
/// How deep podseal reads: no list that it reads is deeper.
const DEPTH: usize = 12;

/// The size of a review in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The bytes of memory that reading it, deciding on it and writing the answer
    /// and the record take at most, without the body itself, and without what a
    /// profile adds to each container.
    pub bytes: usize,
    /// What the review has too many of, if anything.
    pub excess: Option<Excess>,
    /// Whether `bytes` include the variables of the review, read or not, and the room to
    /// set them aside in.
    pub(super) has_room: bool,
}

/// What a review has too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Not known, since a number or a text in it cannot be read.
    Uncountable,
    /// This many containers.
    Containers(usize),
    /// This many entries of lists.
    Entries {
        /// How many there are.
        count: usize,
        /// How many may be in a body of this length.
        most: usize,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Excess::Uncountable => f.write_str("a number or a text in the review cannot be read"),
            Excess::Containers(count) => write!(
                f,
                "containers: {count} are more than podseal's limit of {CONTAINERS}"
            ),
            Excess::Entries { count, most } => write!(
                f,
                "list entries: {count} are more than podseal's limit of {most} for a review of \
                 this length"
            ),
        }
    }
}

impl Size {
    /// The size of the review in `body`. Takes only the parser's own memory,
    /// and time in proportion to the body.
    pub fn of(body: &[u8]) -> Size {
        let bound = Size::bound(body);
        if bound.bytes <= SMALL {
            return Size {
                bytes: bound.bytes + ROOM * body.len(),
                has_room: true,
                ..bound
            };
        }
        let mut count = Count::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let review = Value {
            count: &mut count,
            kind: Kind::Field,
            list: Kind::Object,
            depth: 0,
        };
        match review.deserialize(&mut json) {
            Ok(()) => count.size(body.len()),
            // A reader may get further than this count, since it skips
            // some values unread.
            Err(_) => Size {
                excess: Some(Excess::Uncountable),
                ..Size::of_bytes(ANSWER + TEXT * body.len())
            },
        }
    }

    /// An upper bound that is fast to compute.
    fn bound(body: &[u8]) -> Size {
        let count = |wanted| memchr::memchr_iter(wanted, body).count();
        // In a list of objects, null is an object without fields.
        let nulls = memchr::memmem::find_iter(body, b"null").count();
        let containers = CONTAINER * (count(b'{') + nulls);
        Size::of_bytes(ANSWER + TEXT * body.len() + containers + ENTRY * count(b','))
    }

    /// The size of a review of which only these bytes of memory are known.
    pub fn of_bytes(bytes: usize) -> Size {
        Size {
            bytes,
            excess: None,
            has_room: false,
        }
    }
}

/// The counts of a review.
#[derive(Debug, Default)]
struct Count {
    /// In `oldObject`.
    old: Counted,
    /// Everywhere else.
    rest: Counted,
    is_in_old: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counted {
    containers: usize,
    objects: usize,
    entries: usize,
}

impl Counted {
    fn excess(self, length: usize) -> Option<Excess> {
        let count = self.objects + self.entries;
        let most = ENTRIES + length / BYTES_AN_ENTRY;
        if self.containers > CONTAINERS {
            Some(Excess::Containers(self.containers))
        } else if count > most {
            Some(Excess::Entries { count, most })
        } else {
            None
        }
    }

    fn bytes(self) -> usize {
        CONTAINER * self.containers + OBJECT * self.objects + ENTRY * self.entries
    }
}

impl Count {
    fn here(&mut self) -> &mut Counted {
        match self.is_in_old {
            true => &mut self.old,
            false => &mut self.rest,
        }
    }

    fn size(&self, length: usize) -> Size {
        let both = [self.rest, self.old];
        let excess = both.into_iter().find_map(|pod| pod.excess(length));
        // A pod over the limits is not read.
        let lists = match excess {
            None => both.into_iter().map(Counted::bytes).sum(),
            Some(_) => 0,
        };
        Size {
            excess,
            ..Size::of_bytes(ANSWER + TEXT * length + lists)
        }
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A field of an object, which is part of the object.
    Field,
    /// The field `oldObject` of the request.
    Old,
    /// An object whose keys are entries.
    Map,
    /// An entry of a list of containers.
    Container,
    /// An entry of a list of volumes: its sources are kept by their keys.
    Volume,
    /// An entry of any other list.
    Object,
}

/// A visitor that counts a value.
struct Value<'c> {
    count: &'c mut Count,
    kind: Kind,
    /// What its entries are, if it is a list.
    list: Kind,
    depth: usize,
}

impl<'c> Value<'c> {
    fn entry(self, is_object: bool) {
        match self.kind {
            Kind::Field | Kind::Old | Kind::Map => {}
            Kind::Container => self.count.here().containers += 1,
            Kind::Volume | Kind::Object if is_object => self.count.here().objects += 1,
            Kind::Volume | Kind::Object => self.count.here().entries += 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth < DEPTH {
            deserializer.deserialize_any(self)
        } else {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let keys_are_entries = matches!(self.kind, Kind::Map | Kind::Volume);
        while let Some((kind, list)) = map.next_key_seed(Key)? {
            self.count.here().entries += usize::from(keys_are_entries);
            if kind.is_none() && !keys_are_entries {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let is_old = self.depth == IN_REQUEST && kind == Some(Kind::Old);
            self.count.is_in_old |= is_old;
            map.next_value_seed(Value {
                count: &mut *self.count,
                kind: kind.unwrap_or(Kind::Field),
                list,
                depth: self.depth + 1,
            })?;
            self.count.is_in_old &= !is_old;
        }
        self.entry(true);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let element = Value {
                count: &mut *self.count,
                kind: self.list,
                list: Kind::Object,
                depth: self.depth + 1,
            };
            if list.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    // An element that is null is an object without fields.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.entry(true);
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.entry(false);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.entry(false);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.entry(false);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.entry(false);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.entry(false);
        Ok(())
    }
}

/// What the value of a key is, and what the entries of its list are; none, if
/// podseal does not read the value.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = (Option<Kind>, Kind);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = (Option<Kind>, Kind);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match key {
            "managedFields" | "status" => (None, Kind::Object),
            "containers" | "initContainers" | "ephemeralContainers" => {
                (Some(Kind::Field), Kind::Container)
            }
            "oldObject" => (Some(Kind::Old), Kind::Object),
            "volumes" => (Some(Kind::Field), Kind::Volume),
            "labels" | "annotations" | "nodeSelector" | "limits" | "requests" => {
                (Some(Kind::Map), Kind::Object)
            }
            _ => (Some(Kind::Field), Kind::Object),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(body: &str) -> (usize, usize, usize) {
        let mut count = Count::default();
        let mut json = serde_json::Deserializer::from_str(body);
        let review = Value {
            count: &mut count,
            kind: Kind::Field,
            list: Kind::Object,
            depth: 0,
        };
        review.deserialize(&mut json).expect("it is JSON");
        let of = |pod: Counted| (pod.containers, pod.objects, pod.entries);
        assert_eq!(of(count.old), (0, 0, 0));
        of(count.rest)
    }

    #[test]
    fn containers_objects_and_entries_are_counted_wherever_they_are() {
        let body = r#"{"request":{"object":{"metadata":{"labels":{"a":"b","status":"c"},
            "managedFields":[{"a":[1,2,3]}]},"status":{"x":[1,2]},
            "spec":{"containers":[{"env":[{"name":"x"},null]},null],
                "\u0069nitContainers":[{"securityContext":{"capabilities":{"add":["a","b"]}}}],
                "volumes":[{"name":"v","emptyDir":{}}]}}}}"#;
        // Two labels, two capabilities, and the two keys of the volume.
        assert_eq!(counted(body), (3, 3, 6));
    }

    #[test]
    fn a_pod_within_the_limits_can_be_updated_but_not_to_one_beyond_them() {
        let names: Vec<_> = (0..5000).map(|n| format!(r#""a{n}":"""#)).collect();
        let annotated = format!(
            r#"{{"metadata":{{"annotations":{{{}}}}}}}"#,
            names.join(",")
        );
        let containers = |count| {
            let list = vec![r#"{"name":"a","image":"b"}"#; count].join(",");
            format!(r#"{{"spec":{{"containers":[{list}]}}}}"#)
        };
        let excess = |pod: &str, old: &str| {
            let body = format!(r#"{{"request":{{"oldObject":{old},"object":{pod}}}}}"#);
            Size::of(body.as_bytes()).excess
        };
        for pod in [&annotated, &containers(1024)] {
            assert_eq!((excess(pod, "null"), excess(pod, pod)), (None, None));
        }
        let more = containers(1025);
        let of_containers = Some(Excess::Containers(1025));
        for old in ["null", &annotated, &more] {
            assert_eq!(excess(&more, old), of_containers);
        }
        assert_eq!(excess("null", &more), of_containers);
        // A key of that name has no meaning anywhere else.
        let within = format!(r#"{{"a":{{"oldObject":{more}}}}}"#);
        assert_eq!(excess(&within, "null"), of_containers);
    }

    #[test]
    fn a_body_that_cannot_be_counted_is_not_read() {
        let many = "{},".repeat(10_000);
        let body = format!(r#"{{"x":1e999,"request":{{"a":[{many}{{}}]}}}}"#);
        let size = Size::of(body.as_bytes());
        assert_eq!(size.excess, Some(Excess::Uncountable));
        assert_eq!(size.bytes, ANSWER + TEXT * body.len());
    }

    #[test]
    fn a_pod_beyond_the_limits_is_not_read_and_takes_no_memory() {
        let pod = |list: &str, element: &str, count: usize| {
            let elements = vec![element; count].join(",");
            format!(r#"{{"request":{{"object":{{"spec":{{"{list}":[{elements}]}}}}}}}}"#)
        };
        let containers = Size::of(pod("containers", "{}", 2000).as_bytes());
        assert_eq!(containers.excess, Some(Excess::Containers(2000)));
        let volumes = pod("volumes", "{}", 9000);
        let most = ENTRIES + volumes.len() / BYTES_AN_ENTRY;
        let size = Size::of(volumes.as_bytes());
        assert_eq!(size.excess, Some(Excess::Entries { count: 9000, most }));
        assert_eq!(size.bytes, ANSWER + TEXT * volumes.len());
        let long = format!(r#"{{"name":"{}"}}"#, "v".repeat(60));
        assert_eq!(
            Size::of(pod("volumes", &long, 9000).as_bytes()).excess,
            None
        );
    }
}
