//! Where in a pod something stands.

use std::fmt;

/// Which of the pod's lists a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `spec.initContainers`
    Init,
    /// `spec.containers`
    Regular,
    /// `spec.ephemeralContainers`
    Ephemeral,
}

/// Where in the pod something stands: what a change or a denial speaks of.
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
    /// The list it stands in.
    pub list: List,
    /// Its place in that list.
    pub index: usize,
}

impl fmt::Display for Place {
    /// The word for the place; the container's name follows it.
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
