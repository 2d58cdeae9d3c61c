//! Asks the controls about a pod.

use super::apparmor_annotations::Annotations;
use super::control::{Family, Level};
use super::subject::{Subject, Violation};
use super::table::{Rule, STANDARDS};
use crate::pod::place::Place;
use crate::pod::{Container, Pod};

/// Every violation of `level` in `pod`.
///
/// In the order of the Standards' page, and for each control first the pod's
/// own, then the init, the regular and the ephemeral containers' in the order
/// of the pod.
pub fn violations<'p>(pod: &'p Pod<'_>, level: Level) -> Vec<Violation<'p>> {
    violations_with(pod, |_, _| level)
}

/// Every violation in `pod`, where `level_of` says what a family of controls
/// holds a place to.
///
/// A restricted control *replaces* its baseline twin, so an exemption from the
/// restricted one alone would exempt from both. Lowering the level of the
/// family for one container instead falls back to the twin there, or to nothing
/// where there is none.
///
/// A place that is lowered is only that place: whoever lowers [`Place::Pod`]
/// lets the pod say what its containers inherit.
pub fn violations_with<'p>(
    pod: &'p Pod<'_>,
    level_of: impl Fn(Family, Place) -> Level,
) -> Vec<Violation<'p>> {
    let mut violations = Vec::new();
    for_each_violation(pod, level_of, |violation| violations.push(violation));
    violations
}

/// [`violations_with`], one by one.
///
/// A hostile pod can hold as many violations as it holds bytes. Who filters
/// and counts here needs no memory for them; who cuts the list first and
/// filters it afterwards lets an attacker choose what is cut.
pub fn for_each_violation<'p>(
    pod: &'p Pod<'_>,
    level_of: impl Fn(Family, Place) -> Level,
    mut found: impl FnMut(Violation<'p>),
) {
    let annotations = Annotations::of(pod);
    for rule in &STANDARDS {
        for (place, container) in places(pod) {
            if rule.holds_at(level_of(rule.control.family(), place)) {
                rule.ask(pod, &annotations, place, container, &mut found);
            }
        }
    }
}

/// The pod itself, and its containers.
pub(crate) fn places<'p, 'a>(
    pod: &'p Pod<'a>,
) -> impl Iterator<Item = (Place, Option<&'p Container<'a>>)> {
    let containers = pod.all_containers();
    std::iter::once((Place::Pod, None))
        .chain(containers.map(|(place, container)| (place, Some(container))))
}

impl Rule {
    /// Asks the control about one place.
    pub(super) fn ask<'p, 'a>(
        &self,
        pod: &'p Pod<'a>,
        annotations: &Annotations<'p>,
        place: Place,
        container: Option<&'p Container<'a>>,
        found: &mut dyn FnMut(Violation<'p>),
    ) {
        (self.check)(&mut Subject {
            pod,
            place,
            container,
            annotations,
            control: self.control,
            found,
        });
    }

    /// Whether the rule is asked at `level`: those of restricted take the
    /// place of their twins.
    pub(super) fn holds_at(&self, level: Level) -> bool {
        self.control.level() <= level && !(self.replaced && level == Level::Restricted)
    }
}
