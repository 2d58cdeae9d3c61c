//! AppArmor's annotations, from before there was a field.

use crate::pod::{Container, Pod};

/// The annotation's key, up to the container's name.
pub(super) const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The annotations that set a forbidden profile, each with the container it
/// names: for a grant they are as much the container's as the field is.
///
/// Sorted once for the whole pod, so that a pod of ten thousand containers and
/// as many annotations is looked through and not multiplied out.
pub(super) struct Annotations<'p>(Vec<Annotation<'p>>);

#[derive(Clone, Copy)]
pub(super) struct Annotation<'p> {
    pub(super) key: &'p str,
    pub(super) value: &'p str,
    /// Whether the pod has a container that it names.
    names_one: bool,
}

impl<'p> Annotation<'p> {
    fn container(&self) -> &'p str {
        &self.key[ANNOTATION.len()..]
    }
}

impl<'p> Annotations<'p> {
    pub(super) fn of(pod: &'p Pod<'_>) -> Annotations<'p> {
        let entries = pod.metadata.annotations.as_ref().map(|map| &*map.0);
        let named = || {
            let entries = entries.unwrap_or_default().iter();
            entries.filter(|(key, _)| key.starts_with(ANNOTATION))
        };
        // If a key is repeated, the last one applies: reversed it is the
        // first, and the sort is stable. Counted first, to take no more
        // memory than needed.
        let mut found = Vec::with_capacity(named().count());
        found.extend(named().rev().map(|(key, value)| Annotation {
            key,
            value,
            names_one: false,
        }));
        if found.is_empty() {
            return Annotations(found);
        }
        found.sort_by_key(Annotation::container);
        found.dedup_by_key(|annotation| annotation.container());
        found.retain(|annotation| !is_allowed(annotation.value));
        for (_, container) in pod.all_containers() {
            let container = &*container.name;
            if let Ok(at) = found.binary_search_by_key(&container, Annotation::container) {
                found[at].names_one = true;
            }
        }
        Annotations(found)
    }

    /// Those of `container`, or of no container of the pod.
    pub(super) fn at<'s>(
        &'s self,
        container: Option<&Container<'_>>,
    ) -> impl Iterator<Item = &'s Annotation<'p>> {
        let is_of_none = container.is_none();
        let those = match container {
            None => &self.0[..],
            Some(container) => {
                let name = &*container.name;
                let found = self.0.binary_search_by_key(&name, Annotation::container);
                found.map_or(&[][..], |at| &self.0[at..=at])
            }
        };
        let names_one = !is_of_none;
        those
            .iter()
            .filter(move |annotation| annotation.names_one == names_one)
    }
}

fn is_allowed(profile: &str) -> bool {
    matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/")
}
