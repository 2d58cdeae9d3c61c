//! What a profile exposes: what a plain job's containers have with it beyond the
//! Pod Security Standards.

use std::collections::BTreeMap;

use super::sample::Sample;
use crate::correct::refusal::Refusal;
use crate::gitlab::role::Role;
use crate::pod::Pod;
use crate::profile::grants::for_each_not_granted;
use crate::profile::{Grants, Profile, Rules, Scope};
use crate::standards::{Family, Level, Violation, violations};
use crate::text::{quoted, unquoted};

/// What a container, or the pod, has beyond the levels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// What the level `baseline` forbids, each as `field: value`.
    pub baseline: Vec<String>,
    /// What only the level `restricted` forbids.
    pub restricted: Vec<String>,
}

/// What `profile` sets beyond each level, by container; `pod` is the pod itself.
///
/// Without what the job already has, which is not due to the profile.
pub fn beyond(profile: &Profile) -> BTreeMap<String, Beyond> {
    let mut beyond: BTreeMap<String, Beyond> = BTreeMap::new();
    for sample in Sample::all(profile) {
        // A profile that cannot be applied to a job is rejected earlier.
        let Ok(after) = sample.after(Level::Privileged) else {
            continue;
        };
        let list = |pod: &Pod<'_>, level| -> Vec<(String, String)> {
            let mut found = violations(pod, level);
            found.retain(|violation| sample.is_about(pod, violation));
            let line = |violation: &Violation<'_>| {
                let what = format!("{}: {}", violation.field, violation.value.text());
                (place_of(sample.scope(pod, violation)), what)
            };
            found.iter().map(line).collect()
        };
        let new_at = |level| {
            let known = list(sample.before(), level);
            let mut new = list(&after, level);
            new.retain(|violation| !known.contains(violation));
            new
        };
        let baseline = new_at(Level::Baseline);
        for (container, what) in &baseline {
            let beyond = beyond.entry(container.clone()).or_default();
            beyond.baseline.push(what.clone());
        }
        for violation in new_at(Level::Restricted) {
            if !baseline.contains(&violation) {
                let (container, what) = violation;
                beyond.entry(container).or_default().restricted.push(what);
            }
        }
    }
    beyond
}

/// A role of the profile, the containers that other rules are for, or the pod.
fn place_of(scope: Option<Scope<'_>>) -> String {
    scope.map_or_else(|| "pod".to_owned(), named)
}

/// The violations for which a plain job would be denied in a namespace at `level`,
/// each as `place field: value`. Without what a service has by itself, which is not due to
/// the profile.
pub fn denied(profile: &Profile, level: Level) -> Vec<String> {
    let of_sample = |sample: Sample<'_>| -> Vec<String> {
        let pod = match sample.after(level) {
            Ok(pod) => pod,
            Err(Refusal { field, problem, .. }) => {
                let place = sample.bound().map(|scope| format!("{} ", named(scope)));
                return vec![format!("{}{field}: {problem}", place.unwrap_or_default())];
            }
        };
        let own = violations(sample.before(), level);
        let is_own = |violation: &Violation<'_>| {
            let is_same = |own: &Violation<'_>| {
                own.place == violation.place
                    && own.field == violation.field
                    && own.value == violation.value
            };
            let scope = sample.scope(&pod, violation);
            scope.is_some_and(|scope| scope.role() == Role::Services) && own.iter().any(is_same)
        };
        let mut lines = Vec::new();
        for_each_not_granted(&pod, level, Some(&sample.profile()), |violation| {
            if sample.is_about(&pod, &violation) && !is_own(&violation) {
                let place = place_of(sample.scope(&pod, &violation));
                let value = violation.value.text();
                lines.push(format!("{place} {}: {value}", violation.field));
            }
        });
        lines
    };
    Sample::all(profile)
        .into_iter()
        .flat_map(of_sample)
        .collect()
}

/// What `profile` adds to jobs that no level covers: devices, annotations, and the
/// names of variables, each with the role that it is for.
pub fn additions(profile: &Profile) -> Vec<String> {
    let mut added = Vec::new();
    for (scope, rules) in profile.containers.all() {
        let allowed = rules.capabilities.allow.iter();
        let to_scope =
            |name: &String| format!("allowed capability {} to {}", unquoted(name), named(scope));
        added.extend(allowed.map(to_scope));
        for fields in [&rules.set, &rules.if_unset] {
            let limits = fields.resources.limits.iter();
            let limits = limits.map(|(name, amount)| format!("device {name}: {amount}"));
            let variables = fields.env.keys().map(|name| format!("variable {name}"));
            let to_scope = |what: String| format!("{what} to {}", named(scope));
            added.extend(limits.chain(variables).map(to_scope));
        }
    }
    for fields in [&profile.pod.set, &profile.pod.if_unset] {
        let annotations = fields.annotations.iter();
        added.extend(annotations.map(|(key, value)| format!("annotation {key}: {value}")));
        let context = &fields.security_context;
        let groups = context.fs_group.iter().chain(&context.supplemental_groups);
        added.extend(groups.map(|group| format!("group {group} to the pod")));
        let class = fields.runtime_class_name.iter();
        added.extend(class.map(|class| format!("runtime class {class}")));
        let labels = fields.node_selector.iter();
        added.extend(labels.map(|(key, value)| format!("nodes with {key}={value}")));
        let taints = fields.tolerations.iter();
        added.extend(taints.map(|taint| format!("toleration of the taint {taint}")));
    }
    added
}

/// The grants at `baseline` that have no effect, since the profile sets no such
/// value: the containers and the control. `samples` are those of the profile.
pub(crate) fn idle_grants<'p>(
    profile: &'p Profile,
    samples: &[Sample<'p>],
) -> Vec<(Scope<'p>, Family)> {
    let mut set = Vec::new();
    for sample in samples {
        let Ok(pod) = sample.after(Level::Privileged) else {
            return Vec::new();
        };
        for violation in violations(&pod, Level::Baseline) {
            if let Some(scope) = sample.scope(&pod, &violation) {
                set.push((scope, violation.control.family()));
            }
        }
    }
    let is_used = |scope: Scope<'_>, rules: &Rules, family| {
        let by_others = match family {
            // The runner's global `privileged` applies to services, which is what this grant
            // is for.
            Family::Privileged => scope.role() == Role::Services,
            Family::Capabilities => !rules.capabilities.allow.is_empty(),
            _ => false,
        };
        // A role is granted what the profile sets for `build`, too.
        let of_build = Scope::Role(Role::Build);
        by_others
            || set.contains(&(scope, family))
            || matches!(scope, Scope::Role(_)) && set.contains(&(of_build, family))
    };
    let granted = profile.containers.all().flat_map(|(scope, rules)| {
        let granted = rules.grants.baseline.iter();
        granted.map(move |family| (scope, rules, *family))
    });
    let idle = granted.filter(|(scope, rules, family)| !is_used(*scope, rules, *family));
    idle.map(|(scope, _, family)| (scope, family)).collect()
}

/// What `profile` grants its jobs in a namespace of `level`: the containers in
/// words, and the control.
pub fn grants(profile: &Profile, level: Level) -> Vec<(String, &'static str)> {
    let of_rules = |(scope, rules): (Scope<'_>, &Rules)| {
        let families = match level {
            Level::Privileged => Vec::new(),
            Level::Baseline => rules.grants.baseline.clone(),
            Level::Restricted => rules.grants.restricted.clone(),
        };
        let named = named(scope);
        let granted = families.into_iter();
        granted.map(move |family| (named.clone(), family.name()))
    };
    profile.containers.all().flat_map(of_rules).collect()
}

/// Containers, in a sentence.
pub(crate) fn named(scope: Scope<'_>) -> String {
    match scope {
        Scope::Role(role) => role.key().to_owned(),
        Scope::Image(pattern) => format!("services of {}", quoted(pattern)),
        Scope::InitContainer(name) => format!("the init container {}", quoted(name)),
    }
}

/// What grants by an image mean, each as a sentence without a full stop.
pub fn trusted(profile: &Profile) -> Vec<String> {
    let all = profile.containers.all();
    let granted = all.filter(|(scope, rules)| {
        matches!(scope, Scope::Image(_)) && rules.grants != Grants::default()
    });
    let sentence = |(scope, _)| {
        format!(
            "every job of the namespace can run {} with any command, and so has what is granted to it",
            named(scope)
        )
    };
    granted.map(sentence).collect()
}
