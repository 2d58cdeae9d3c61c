//! The violations that an update adds to a pod.
//!
//! A violation is recognised in the pod's other state by the control, the
//! container's name (an index may move), the field and the value. The two states
//! are compared control by control and container by container. So only one list of
//! references to the old state is kept at any time, and every search is in a sorted
//! list.

use std::collections::HashMap;

use super::apparmor_annotations::Annotations;
use super::control::Level;
use super::evaluate::places;
use super::subject::{FieldPath, Value, Violation};
use super::table::{Rule, STANDARDS};
use crate::pod::place::{ContainerRef, Place};
use crate::pod::{Container, Pod};

/// Every violation of `level` in `new` that is not in `old`, in the order of
/// [`for_each_violation`](super::for_each_violation).
pub fn for_each_new_violation<'p>(
    old: &'p Pod<'_>,
    new: &'p Pod<'_>,
    level: Level,
    mut found: impl FnMut(Violation<'p>),
) {
    let before = State::of(old);
    let pairs = before.pairs(new);
    let annotations = Annotations::of(new);
    for rule in STANDARDS.iter().filter(|rule| rule.applies_at(level)) {
        for Pair {
            place,
            container,
            was,
        } in &pairs
        {
            // Most places violate nothing, so nothing needs to be
            // compared.
            let mut is_violated = false;
            let check = |found: &mut dyn FnMut(Violation<'p>)| {
                rule.check_at(new, &annotations, *place, *container, found);
            };
            check(&mut |_| is_violated = true);
            if is_violated {
                let known = before.known(rule, *was);
                check(&mut |violation| {
                    if !known.contains(&violation) {
                        found(violation);
                    }
                });
            }
        }
    }
}

/// A place of the new pod, and where it was in the old one.
struct Pair<'p, 'a> {
    place: Place,
    container: Option<&'p Container<'a>>,
    was: Option<Place>,
}

/// The pod as it was.
struct State<'p, 'a> {
    pod: &'p Pod<'a>,
    annotations: Annotations<'p>,
}

impl<'p, 'a> State<'p, 'a> {
    fn of(pod: &'p Pod<'a>) -> State<'p, 'a> {
        State {
            pod,
            annotations: Annotations::of(pod),
        }
    }

    /// The places of `new`. A container of the old pod was one container of the
    /// new one at most: of several with its name, which the API server rejects,
    /// the first. Otherwise each of them would be compared with all of its
    /// violations.
    fn pairs<'n, 'b>(&self, new: &'n Pod<'b>) -> Vec<Pair<'n, 'b>> {
        let mut containers = HashMap::with_capacity(self.pod.all_containers().count());
        for (place, container) in self.pod.all_containers() {
            if let Place::Container(ContainerRef { list, .. }) = place {
                containers.insert((list, &*container.name), place);
            }
        }
        let mut pairs = Vec::with_capacity(1 + new.all_containers().count());
        pairs.extend(places(new).map(|(place, container)| Pair {
            place,
            container,
            was: match (place, container) {
                (Place::Container(ContainerRef { list, .. }), Some(container)) => {
                    containers.remove(&(list, &*container.name))
                }
                _ => Some(Place::Pod),
            },
        }));
        pairs
    }

    /// The violations of this control at the place where this one was.
    fn known(&self, rule: &Rule, was: Option<Place>) -> Known<'p> {
        let Some(place) = was else {
            return Known(Vec::new());
        };
        let container = match place {
            Place::Container(at) => Some(self.pod.container(at)),
            Place::Pod => None,
        };
        let check = |found: &mut dyn FnMut(Violation<'p>)| {
            rule.check_at(self.pod, &self.annotations, place, container, found);
        };
        // Counted first, to take no more memory than needed.
        let mut count = 0;
        check(&mut |_| count += 1);
        let mut known = Vec::with_capacity(count);
        check(&mut |violation| known.push((violation.field, violation.value)));
        known.sort_unstable();
        Known(known)
    }
}

/// Fields with their values, sorted.
struct Known<'p>(Vec<(FieldPath<'p>, Value<'p>)>);

impl Known<'_> {
    fn contains(&self, violation: &Violation<'_>) -> bool {
        let order = |(field, value): &(FieldPath<'_>, Value<'_>)| {
            (field, value).cmp(&(&violation.field, &violation.value))
        };
        self.0.binary_search_by(order).is_ok()
    }
}
