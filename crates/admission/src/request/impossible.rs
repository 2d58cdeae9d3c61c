//! Pods that cannot be created, found before podseal does anything else with them.
//!
//! What podseal does for a pod grows with its containers, its annotations and its
//! lists. The API server bounds some of these, but it validates a pod only after
//! the mutating webhooks (and before the validating ones), and a client that calls
//! podseal directly is not bound by it.
//!
//! | what | who rejects it | `/mutate` | `/validate` |
//! |---|---|---|---|
//! | a container's name of more than 63 bytes | the API server | allowed, unchanged | denied |
//! | annotations of more than 256 KiB | the API server | allowed, unchanged | denied |
//! | more containers or entries than are read: [`Excess`] | podseal | denied | denied |
//!
//! Allowing what the API server rejects is safe: `/validate` denies the same pod.
//! It lets the pod's author see the API server's own message.

use std::fmt;

use super::size::Excess;
use super::{Act, Request};
use crate::pod::Pod;
use crate::pod::limits::{ANNOTATIONS, CONTAINER_NAME as NAME};
use crate::pod::place::Place;
use crate::text::{beginning, quoted};

/// Why a pod cannot be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Impossible {
    /// A container's name is too long for Kubernetes.
    Name {
        /// The container's place.
        place: Place,
        /// The beginning of the name.
        name: String,
        /// The length of all of it.
        length: usize,
    },
    /// The annotations are too long for Kubernetes.
    Annotations(usize),
    /// The pod has more of something than podseal reads.
    Excess(Excess),
}

impl Impossible {
    /// What is impossible about the pods of `request`.
    pub(crate) fn of(request: &Request<'_>) -> Option<Impossible> {
        let old = request.old_object.as_ref();
        let old = old.filter(|_| request.act() == Act::Update);
        let excess = request.excess.map(Impossible::Excess);
        let mut pods = request.object.iter().chain(old);
        excess.or_else(|| pods.find_map(Impossible::of_pod))
    }

    /// Why Kubernetes rejects `pod`.
    fn of_pod(pod: &Pod<'_>) -> Option<Impossible> {
        let mut containers = pod.all_containers();
        let long = containers.find(|(_, container)| container.name.len() > NAME);
        if let Some((place, container)) = long {
            return Some(Impossible::Name {
                place,
                name: beginning(&container.name).to_owned(),
                length: container.name.len(),
            });
        }
        let annotations = pod.metadata.annotations.iter().flat_map(|map| &map.0);
        let length = annotations
            .map(|(key, value)| key.len() + value.len())
            .sum();
        (length > ANNOTATIONS).then_some(Impossible::Annotations(length))
    }

    /// Whether the API server itself rejects the pod.
    pub(crate) fn is_refused_by_kubernetes(&self) -> bool {
        !matches!(self, Impossible::Excess(_))
    }

    /// What to do about it, as an imperative.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Impossible::Name { .. } => "shorten the container's name",
            Impossible::Annotations(_) => "remove or shorten annotations of the pod",
            Impossible::Excess(Excess::Uncountable) => "check what sent the review",
            Impossible::Excess(Excess::Containers(_)) => "remove containers from the pod",
            Impossible::Excess(Excess::Entries { .. }) => {
                "remove variables, volumes or other list entries from the pod"
            }
        }
    }
}

impl fmt::Display for Impossible {
    /// What and where, as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Impossible::Name {
                place,
                name,
                length,
            } => write!(
                f,
                "{place} {}, name: it has {length} bytes, and Kubernetes allows {NAME}",
                quoted(name)
            ),
            Impossible::Annotations(length) => write!(
                f,
                "pod, metadata.annotations: they have {length} bytes, and Kubernetes allows \
                 {ANNOTATIONS}"
            ),
            Impossible::Excess(excess) => write!(f, "pod, {excess}"),
        }
    }
}
