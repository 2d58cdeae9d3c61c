//! The Pod Security Standards: every control of the levels *baseline* and
//! *restricted*, as policy version v1.37 has them.
//!
//! What they forbid was read from their reference implementation, the Go module
//! `k8s.io/pod-security-admission` v0.37.1, with which these controls agree
//! pod by pod (`tests/offline/pod_security.rs`). Their names are those of the page
//! "Pod Security Standards" of the Kubernetes documentation.
//!
//! The reference gives one sentence a control. Here every violation is told by
//! itself, with the container and the value: what a profile grants is a value
//! in a container, and nothing beside it.
//!
//! A new control is one file and one line of the table in `standards.rs`.

mod apparmor;
mod capabilities;
mod difference;
mod host_namespaces;
mod host_ports;
mod host_probes;
mod host_process;
mod privilege_escalation;
mod privileged;
mod proc_mount;
mod run_as_non_root;
mod run_as_user;
mod seccomp;
mod selinux;
mod standards;
mod subject;
mod sysctls;
#[cfg(test)]
mod tests;
mod volumes;

pub use difference::for_each_new_violation;
pub use standards::{Control, Family, Level};
pub use subject::{FieldPath, Value, Violation};

use super::pod::{Container, Place, Pod};
use apparmor::Annotations;
use standards::{Rule, STANDARDS};
use subject::Subject;

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
            if rule.holds_at(level_of(rule.family, place)) {
                rule.ask(pod, &annotations, place, container, &mut found);
            }
        }
    }
}

/// The pod itself, and its containers.
pub(super) fn places<'p, 'a>(
    pod: &'p Pod<'a>,
) -> impl Iterator<Item = (Place, Option<&'p Container<'a>>)> {
    let containers = pod.all_containers();
    std::iter::once((Place::Pod, None))
        .chain(containers.map(|(place, container)| (place, Some(container))))
}

impl Rule {
    /// Asks the control about one place.
    fn ask<'p, 'a>(
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
    fn holds_at(&self, level: Level) -> bool {
        self.level <= level && !(self.replaced && level == Level::Restricted)
    }
}
