//! The extended resource: its name, and the IDs of its devices.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use admission::pod::names::is_extended_resource;

/// What comes before the number in an ID.
const PREFIX: &str = "fuse-";

/// A name that the kubelet and the API server accept as an extended resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName(String);

impl FromStr for ResourceName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<ResourceName, &'static str> {
        match is_extended_resource(name) {
            true => Ok(ResourceName(name.to_owned())),
            false => Err(
                "must be an extended resource, such as github.com/fuse: a domain outside kubernetes.io, a \
                 slash, and a name of at most 63 letters, digits, '-', '_' and '.'",
            ),
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The IDs of the devices. They all mean the one device, so a container needs just one.
///
/// They are the same after a restart: the kubelet stores which container has which.
#[derive(Debug, Clone, Copy)]
pub struct DeviceIds {
    count: NonZeroU32,
}

impl DeviceIds {
    /// So many.
    pub fn new(count: NonZeroU32) -> DeviceIds {
        DeviceIds { count }
    }

    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = String> {
        (0..self.count.get()).map(|number| format!("{PREFIX}{number}"))
    }

    /// Whether `id` is one of them.
    pub(super) fn contains(self, id: &str) -> bool {
        let number = id.strip_prefix(PREFIX);
        number.is_some_and(|digits| {
            // As it is written by `all`: no sign and no leading zero.
            let number = digits.parse::<u32>().ok();
            number.is_some_and(|number| number < self.count.get() && number.to_string() == digits)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kubelet_would_refuse_is_an_error() {
        for name in ["github.com/fuse", "a/b", "smarter-devices/fuse_0.x"] {
            assert_eq!(
                name.parse().map(|name: ResourceName| name.to_string()),
                Ok(name.to_owned())
            );
        }
        for name in [
            "fuse",
            "kubernetes.io/fuse",
            "requests.a/b",
            "a/b/c",
            "/fuse",
            "a/",
            "",
        ] {
            assert!(name.parse::<ResourceName>().is_err(), "{name}");
        }
    }

    #[test]
    fn only_the_ids_that_are_offered_are_known() {
        let ids = DeviceIds::new(NonZeroU32::new(3).expect("not zero"));
        let all: Vec<_> = ids.all().collect();
        assert_eq!(all, ["fuse-0", "fuse-1", "fuse-2"]);
        assert!(all.iter().all(|id| ids.contains(id)));
        for id in [
            "fuse-3",
            "fuse-01",
            "fuse-+1",
            "fuse--1",
            "fuse-",
            "0",
            "",
            "fuse-99999999999",
        ] {
            assert!(!ids.contains(id), "{id}");
        }
    }
}
