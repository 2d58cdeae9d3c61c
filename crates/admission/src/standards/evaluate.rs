//! Evaluates the controls for a pod.

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

/// Every violation in `pod`, where `level_of` is the level of a family of controls
/// at a place.
///
/// A restricted control *replaces* the baseline control of its family, so an
/// exemption from the restricted one alone would exempt from both. Lowering the
/// level of the family for one container instead applies the baseline control
/// there, if there is one.
///
/// Only that place is lowered: if it is [`Place::Pod`], the pod may still set
/// values that its containers inherit.
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
/// A hostile pod can have as many violations as it has bytes. Filtering and
/// counting them here needs no memory for them. Truncating the list before
/// filtering it would let an attacker choose what is truncated.
pub fn for_each_violation<'p>(
    pod: &'p Pod<'_>,
    level_of: impl Fn(Family, Place) -> Level,
    mut found: impl FnMut(Violation<'p>),
) {
    let annotations = Annotations::of(pod);
    for rule in &STANDARDS {
        for (place, container) in places(pod) {
            if rule.applies_at(level_of(rule.control.family(), place)) {
                rule.check_at(pod, &annotations, place, container, &mut found);
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
    /// Evaluates the control at one place.
    pub(super) fn check_at<'p, 'a>(
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

    /// Whether the rule applies at `level`: restricted controls replace the
    /// baseline ones of their families.
    pub(super) fn applies_at(&self, level: Level) -> bool {
        self.control.level() <= level && !(self.replaced && level == Level::Restricted)
    }
}
