//! What a profile allows the containers of a job beyond the level of their namespace.
//!
//! A grant is for the containers of a role. It does not apply to the pod itself, from
//! which all containers inherit, or to ephemeral containers, which are added to a
//! running job.

use std::collections::BTreeSet;

use super::{Capabilities, EffectiveProfile, Profile, Rules, Scope};
use crate::gitlab::role::Role;
use crate::pod::Pod;
use crate::pod::capability::same_capability;
use crate::pod::place::{ContainerRef, List, Place};
use crate::standards::{Family, Level, Violation, for_each_violation};

/// How many violations are listed. A pod can have about as many as it has bytes; the
/// others are only counted.
pub const LISTED: usize = 32;

/// The violations of a pod, in a stable order.
#[derive(Debug, Clone, Default)]
pub struct Violations {
    /// The first [`LISTED`] of them, with as much of each as a message can show.
    pub listed: Vec<Violation<'static>>,
    /// How many there are.
    pub count: usize,
    /// The families of all of them. The author of the pod decides which come first,
    /// and must not decide which are omitted.
    pub families: BTreeSet<Family>,
    /// Whether the pod has its own user namespace, which relaxed no control.
    pub user_namespace_ignored: bool,
}

impl Violations {
    /// The violations of `level` in `pod` that `profile` does not grant.
    pub fn of(pod: &Pod<'_>, level: Level, profile: Option<&EffectiveProfile<'_>>) -> Violations {
        let mut violations = Violations::default();
        for_each_not_granted(pod, level, profile, |violation| violations.add(&violation));
        violations
    }

    /// Counts a violation, and lists it while there are fewer than [`LISTED`].
    pub fn add(&mut self, violation: &Violation<'_>) {
        self.count += 1;
        self.families.insert(violation.control.family());
        if self.listed.len() < LISTED {
            self.listed.push(violation.kept());
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The violations of `level` in `pod` that `profile` does not grant, one by one. Without a
/// profile nothing is granted.
pub(crate) fn for_each_not_granted<'p>(
    pod: &'p Pod<'_>,
    level: Level,
    profile: Option<&EffectiveProfile<'_>>,
    mut found: impl FnMut(Violation<'p>),
) {
    // No setting overrides what is granted.
    let profile = profile.map(|effective| effective.profile);
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
                .is_some_and(|(profile, (scope, rules))| {
                    let family = violation.control.family();
                    rules.grants.baseline.contains(&family)
                        && is_set(profile, scope, rules, family, &violation.value.text())
                });
        if !admitted {
            found(violation);
        }
    });
}

fn rules_at<'p>(
    pod: &Pod<'_>,
    profile: &'p Profile,
    place: Place,
) -> Option<(Scope<'p>, &'p Rules)> {
    match place {
        Place::Pod
        | Place::Container(ContainerRef {
            list: List::Ephemeral,
            ..
        }) => None,
        Place::Container(at) => {
            let (scope, rules) = profile.containers.of(at.list, pod.container(at));
            // Services are regular containers. An init container that is not the runner's
            // is granted something by its name only.
            let can_be_granted = scope != Scope::Role(Role::Services) || at.list == List::Regular;
            can_be_granted.then_some((scope, rules))
        }
    }
}

/// Whether `value` is what the profile sets, for the role or for `build`. The latter is
/// for roles that it sets nothing for, such as services, which the runner's global
/// `privileged` makes privileged too.
fn is_set(profile: &Profile, scope: Scope<'_>, rules: &Rules, family: Family, value: &str) -> bool {
    // The profile sets nothing for services, so there is no value to compare. This
    // control forbids a single value.
    if scope.role() == Role::Services && family == Family::Privileged {
        return value == "true";
    }
    let of_build =
        matches!(scope, Scope::Role(_)) && sets(&profile.containers.build, family, value);
    sets(rules, family, value) || of_build
}

fn sets(rules: &Rules, family: Family, value: &str) -> bool {
    let context = &rules.set.security_context;
    match family {
        Family::Privileged => context.privileged == Some(true) && value == "true",
        Family::Capabilities => {
            let Capabilities { add, allow, .. } = &rules.capabilities;
            add.iter().any(|name| name == value)
                || allow.iter().any(|name| same_capability(name, value))
        }
        Family::ProcMount => context.proc_mount.as_deref() == Some(value),
        Family::SeLinuxOptions => {
            let options = context.se_linux_options.as_ref();
            options.is_some_and(|options| options.type_ == value)
        }
        Family::SeccompProfile => {
            let profile = context.seccomp_profile.as_ref();
            profile.is_some_and(|profile| profile.type_ == value)
        }
        // The annotation has it in lower case.
        Family::AppArmorProfile => {
            let profile = context.app_armor_profile.as_ref();
            profile.is_some_and(|profile| profile.type_.eq_ignore_ascii_case(value))
        }
        _ => false,
    }
}

/// Whether a profile can set a value that the family's control forbids at baseline.
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
