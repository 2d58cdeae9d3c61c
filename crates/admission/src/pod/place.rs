//! Places in a pod.

use std::fmt;

/// The pod's list that a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `spec.initContainers`
    Init,
    /// `spec.containers`
    Regular,
    /// `spec.ephemeralContainers`
    Ephemeral,
}

/// The place of a change or a violation in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The pod itself.
    Pod,
    /// A container.
    Container(ContainerRef),
}

/// A container of a pod, by its list and its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContainerRef {
    /// The list that it is in.
    pub list: List,
    /// Its index in that list.
    pub index: usize,
}

impl fmt::Display for Place {
    /// The kind of the place, which messages show before the container's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Pod => "pod",
            Place::Container(ContainerRef {
                list: List::Init, ..
            }) => "init container",
            Place::Container(ContainerRef {
                list: List::Regular,
                ..
            }) => "container",
            Place::Container(ContainerRef {
                list: List::Ephemeral,
                ..
            }) => "ephemeral container",
        })
    }
}
