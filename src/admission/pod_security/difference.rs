//! What a change of a pod adds to its violations.
//!
//! A violation is recognised in the pod's other state by the control, the
//! container's name (an index may move), the field and the value. The two states
//! are compared control by control and container by container. So what is
//! remembered of the old state at any time is one list of references, and no
//! violation is looked for in a list that is not sorted.

use std::collections::HashMap;

use super::apparmor::Annotations;
use super::places;
use super::standards::{Level, Rule, STANDARDS};
use super::subject::{FieldPath, Value, Violation};
use crate::admission::pod::{Container, List, Place, Pod};

/// Every violation of `level` in `new` that is not in `old`, in the order of
/// [`for_each_violation`](super::for_each_violation).
pub fn for_each_new_violation<'p>(
    old: &'p Pod<'_>,
    new: &'p Pod<'_>,
    level: Level,
    mut found: impl FnMut(Violation<'p>),
) {
    let before = State::of(old);
    let annotations = Annotations::of(new);
    for rule in STANDARDS.iter().filter(|rule| rule.holds_at(level)) {
        for (place, container) in places(new) {
            // Most places violate nothing, and then there is nothing to compare.
            let mut is_violated = false;
            let ask = |found: &mut dyn FnMut(Violation<'p>)| {
                rule.ask(new, &annotations, place, container, found);
            };
            ask(&mut |_| is_violated = true);
            if is_violated {
                let known = before.known(rule, place, container);
                ask(&mut |violation| {
                    if !known.contains(&violation) {
                        found(violation);
                    }
                });
            }
        }
    }
}

/// The pod as it was.
struct State<'p, 'a> {
    pod: &'p Pod<'a>,
    annotations: Annotations<'p>,
    containers: HashMap<(List, &'p str), usize>,
}

impl<'p, 'a> State<'p, 'a> {
    fn of(pod: &'p Pod<'a>) -> State<'p, 'a> {
        let mut containers = HashMap::with_capacity(pod.all_containers().count());
        for (place, container) in pod.all_containers() {
            if let Place::Container(list, index) = place {
                containers.insert((list, &*container.name), index);
            }
        }
        State {
            pod,
            annotations: Annotations::of(pod),
            containers,
        }
    }

    /// What violated this control, at the place that is now `place`.
    fn known(&self, rule: &Rule, place: Place, container: Option<&Container<'_>>) -> Known<'p> {
        let (place, container) = match (place, container) {
            (Place::Container(list, _), Some(container)) => {
                let Some(&index) = self.containers.get(&(list, &*container.name)) else {
                    return Known(Vec::new());
                };
                let place = Place::Container(list, index);
                (place, Some(self.pod.container(list, index)))
            }
            _ => (Place::Pod, None),
        };
        let ask = |found: &mut dyn FnMut(Violation<'p>)| {
            rule.ask(self.pod, &self.annotations, place, container, found);
        };
        // Counted first, so that it takes no more memory than there are.
        let mut count = 0;
        ask(&mut |_| count += 1);
        let mut known = Vec::with_capacity(count);
        ask(&mut |violation| known.push((violation.field, violation.value)));
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
