//! What a profile lets its job's containers have beyond the level of their
//! namespace.
//!
//! A grant is for a role of container, and so never for the pod itself, from
//! which all containers inherit; nor for an ephemeral container, which somebody
//! adds to the job later.

use std::collections::BTreeSet;

use super::{EffectiveProfile, Profile, Rules};
use crate::gitlab::role::Role;
use crate::pod::Pod;
use crate::pod::place::{ContainerRef, List, Place};
use crate::standards::{Family, Level, Violation, for_each_violation};

/// How many violations are kept to be told one by one. A pod can hold as many
/// as it holds bytes; the rest is counted.
pub const TOLD: usize = 32;

/// The violations of a pod, in a stable order.
#[derive(Debug, Clone, Default)]
pub struct Violations {
    /// The first [`TOLD`] of them, with as much of each as is ever shown.
    pub told: Vec<Violation<'static>>,
    /// How many there are.
    pub count: usize,
    /// The families of all of them: who makes the pod chooses what comes first,
    /// and must not choose what is left out.
    pub families: BTreeSet<Family>,
    /// Whether the pod has a user namespace of its own that relaxed nothing.
    pub user_namespace_ignored: bool,
}

impl Violations {
    /// What `pod` violates of `level`, beyond what `profile` grants it as a
    /// job's pod. Without a profile nothing is granted.
    pub fn of(pod: &Pod<'_>, level: Level, profile: Option<&EffectiveProfile<'_>>) -> Violations {
        // No setting overrides what is granted.
        let profile = profile.map(|effective| effective.profile);
        let mut violations = Violations::default();
        let rules = |place| profile.and_then(|profile| rules_at(pod, profile, place));
        let level_of = |family, place| match (level, rules(place)) {
            (Level::Restricted, Some((_, rules))) if rules.grants.restricted.contains(&family) => {
                level.lowered()
            }
            _ => level,
        };
        for_each_violation(pod, level_of, |violation| {
            let admitted = level == Level::Baseline
                && profile
                    .zip(rules(violation.place))
                    .is_some_and(|(profile, (role, rules))| {
                        let family = violation.control.family();
                        rules.grants.baseline.contains(&family)
                            && is_set(profile, role, family, &violation.value.text())
                    });
            if !admitted {
                violations.add(&violation);
            }
        });
        violations
    }

    /// Counts one, and keeps it if there is room.
    pub fn add(&mut self, violation: &Violation<'_>) {
        self.count += 1;
        self.families.insert(violation.control.family());
        if self.told.len() < TOLD {
            self.told.push(violation.kept());
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn rules_at<'p>(pod: &Pod<'_>, profile: &'p Profile, place: Place) -> Option<(Role, &'p Rules)> {
    match place {
        Place::Pod
        | Place::Container(ContainerRef {
            list: List::Ephemeral,
            ..
        }) => None,
        Place::Container(at) => {
            let role = Role::of(at.list, &pod.container(at).name);
            // What the runner's global flag marks is a service among the
            // regular containers; an init container that has no other role is
            // somebody else's.
            let is_foreign = role == Role::Services && at.list != List::Regular;
            (!is_foreign).then(|| (role, profile.containers.role(role)))
        }
    }
}

/// Whether `value` is what the profile sets. A role it sets nothing on, such as
/// services marked by the runner's global flag, is granted what `build` is set.
fn is_set(profile: &Profile, role: Role, family: Family, value: &str) -> bool {
    // A service is never changed, so nothing sets what it may keep; and of this
    // control there is one value.
    if role == Role::Services && family == Family::Privileged {
        return value == "true";
    }
    sets(profile.containers.role(role), family, value)
        || sets(&profile.containers.build, family, value)
}

fn sets(rules: &Rules, family: Family, value: &str) -> bool {
    let context = &rules.set.security_context;
    match family {
        Family::Privileged => context.privileged == Some(true) && value == "true",
        Family::Capabilities => rules.capabilities.add.iter().any(|name| name == value),
        Family::ProcMount => context.proc_mount.as_deref() == Some(value),
        Family::SeLinuxOptions => {
            let options = context.se_linux_options.as_ref();
            options.is_some_and(|options| options.type_ == value)
        }
        Family::SeccompProfile => {
            let profile = context.seccomp_profile.as_ref();
            profile.is_some_and(|profile| profile.type_ == value)
        }
        // The annotation spells it in lower case.
        Family::AppArmorProfile => {
            let profile = context.app_armor_profile.as_ref();
            profile.is_some_and(|profile| profile.type_.eq_ignore_ascii_case(value))
        }
        _ => false,
    }
}

/// Whether a profile can set a value that the family's baseline control
/// forbids.
pub(crate) fn is_settable(family: Family) -> bool {
    matches!(
        family,
        Family::Privileged
            | Family::Capabilities
            | Family::ProcMount
            | Family::SeLinuxOptions
            | Family::SeccompProfile
            | Family::AppArmorProfile
    )
}
