//! The Pod Security Standards: every control of the levels *baseline* and
//! *restricted*, as policy version v1.37 has them.
//!
//! The sources are the page "Pod Security Standards" of the Kubernetes
//! documentation, v1.37, and its reference implementation, the Go module
//! `k8s.io/pod-security-admission` v0.37.1, with which these controls agree
//! pod by pod (`tests/pod_security.rs`).
//!
//! The reference gives one sentence a control. Here every violation is told by
//! itself, with the container and the value: what a profile grants is a value
//! in a container, and nothing beside it.
//!
//! A new control is one file and one line of [`STANDARDS`].

mod apparmor;
mod capabilities;
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
mod volumes;

pub use standards::{Control, Family, Level};
pub use subject::Violation;

use super::pod::{Place, Pod};
use apparmor::Annotations;
use standards::{Rule, STANDARDS};
use subject::Subject;

/// Every violation of `level` in `pod`.
///
/// In the order of the Standards' page, and for each control first the pod's
/// own, then the init, the regular and the ephemeral containers' in the order
/// of the pod.
pub fn violations<'a>(pod: &Pod<'a>, level: Level) -> Vec<Violation<'a>> {
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
pub fn violations_with<'a>(
    pod: &Pod<'a>,
    level_of: impl Fn(Family, Place) -> Level,
) -> Vec<Violation<'a>> {
    let mut violations = Vec::new();
    for_each_violation(pod, level_of, |violation| violations.push(violation));
    violations
}

/// [`violations_with`], one by one.
///
/// A hostile pod can hold as many violations as it holds bytes. Who filters
/// and counts here needs no memory for them; who cuts the list first and
/// filters it afterwards lets an attacker choose what is cut.
pub fn for_each_violation<'a>(
    pod: &Pod<'a>,
    level_of: impl Fn(Family, Place) -> Level,
    mut found: impl FnMut(Violation<'a>),
) {
    let annotations = Annotations::of(pod);
    for rule in &STANDARDS {
        let mut judge = |place, container| {
            if rule.holds_at(level_of(rule.family, place)) {
                let mut subject = Subject {
                    pod,
                    place,
                    container,
                    annotations: &annotations,
                    control: rule.control,
                    found: &mut found,
                };
                (rule.check)(&mut subject);
            }
        };
        judge(Place::Pod, None);
        for (place, container) in pod.all_containers() {
            judge(place, Some(container));
        }
    }
}

impl Rule {
    /// Whether the rule is asked at `level`: those of restricted take the
    /// place of their twins.
    fn holds_at(&self, level: Level) -> bool {
        self.level <= level && !(self.replaced && level == Level::Restricted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::pod::List;

    const BUILD: Place = Place::Container(List::Regular, 0);

    fn pod(json: &str) -> Pod<'_> {
        serde_json::from_str(json).expect("a pod")
    }

    fn told(violations: &[Violation<'_>]) -> Vec<String> {
        let tell = |v: &Violation<'_>| format!("{} {} {}", v.control.id(), v.field, &*v.value);
        violations.iter().map(tell).collect()
    }

    #[test]
    fn privileged_forbids_nothing() {
        let pod = pod(
            r#"{"spec":{"hostPID":true,"containers":[{"securityContext":{"privileged":true}}]}}"#,
        );
        assert_eq!(violations(&pod, Level::Privileged), []);
    }

    #[test]
    fn violations_come_control_by_control_and_then_in_the_order_of_the_pod() {
        let pod = pod(r#"{"spec":{
            "ephemeralContainers":[{"name":"e","securityContext":{"privileged":true}}],
            "containers":[{"name":"b","ports":[{"hostPort":1},{"hostPort":2}],"securityContext":{"privileged":true}}],
            "initContainers":[{"name":"i","securityContext":{"privileged":true}}],
            "hostNetwork":true}}"#);
        let found = violations(&pod, Level::Baseline);
        let places: Vec<_> = found
            .iter()
            .map(|v| (v.control.id(), &*v.container))
            .collect();
        assert_eq!(
            places,
            [
                ("hostNamespaces", ""),
                ("privileged", "i"),
                ("privileged", "b"),
                ("privileged", "e"),
                ("hostPorts", "b"),
                ("hostPorts", "b"),
            ]
        );
    }

    #[test]
    fn a_container_lowered_to_baseline_is_held_to_the_baseline_twin() {
        let pod = pod(r#"{"spec":{"containers":[
            {"name":"build","securityContext":{"capabilities":{"add":["SETUID","SYS_ADMIN"]}}},
            {"name":"helper","securityContext":{"capabilities":{"add":["SETUID"]}}}]}}"#);
        let found = violations_with(&pod, |family, place| match (family, place) {
            (Family::Capabilities, BUILD) => Level::Baseline,
            (Family::Capabilities, _) => Level::Restricted,
            _ => Level::Privileged,
        });
        assert_eq!(
            told(&found),
            [
                "capabilities_baseline securityContext.capabilities.add SYS_ADMIN",
                "capabilities_restricted securityContext.capabilities.drop undefined",
                "capabilities_restricted securityContext.capabilities.add SETUID",
            ]
        );
        assert_eq!(&*found[1].container, "helper");
    }

    #[test]
    fn a_control_without_a_baseline_twin_is_satisfied_where_it_is_lowered() {
        let pod = pod(r#"{"spec":{"containers":[{"name":"build"},{"name":"helper"}]}}"#);
        let found = violations_with(&pod, |family, place| match (family, place) {
            (Family::AllowPrivilegeEscalation, BUILD) => Level::Restricted.lowered(),
            (Family::AllowPrivilegeEscalation, _) => Level::Restricted,
            _ => Level::Privileged,
        });
        assert_eq!(found.len(), 1);
        assert_eq!(&*found[0].container, "helper");
    }
}
