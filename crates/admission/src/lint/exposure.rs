//! What a profile exposes: what a plain job's containers have with it beyond the
//! Pod Security Standards.

use std::collections::BTreeMap;

use crate::correct::refusal::Refusal;
use crate::correct::steps;
use crate::gitlab::role::Role;
use crate::pod::place::Place;
use crate::pod::{Container, Pod};
use crate::profile::grants::Violations;
use crate::profile::{EffectiveProfile, Grants, Profile, Rules, Scope};
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

/// A job with a service, as the runner creates it, without any security settings.
const JOB: &str = r#"{"metadata": {"name": "job", "labels": {"job.runner.gitlab.com/pod": "job"}},
  "spec": {
    "initContainers": [{"name": "init-permissions", "image": "helper"}],
    "containers": [{"name": "build", "image": "podman"}, {"name": "helper", "image": "helper"},
                   {"name": "svc-0", "image": "postgres"}]}}"#;

/// The plain job, with one more container for each image and each name of an init
/// container that `profile` has rules for.
fn plain_job(profile: &Profile) -> Pod<'_> {
    let mut job: Pod<'_> = serde_json::from_str(JOB).expect("the job is a pod");
    for pattern in profile.containers.images.keys() {
        job.spec.containers.push(Box::new(Container {
            // No name of a role, whatever the pattern is.
            name: format!("service of {pattern}").into(),
            image: Some(pattern.replace('*', "").into()),
            ..Container::default()
        }));
    }
    for name in profile.containers.init_containers.keys() {
        job.spec.init_containers.push(Box::new(Container {
            name: name.as_str().into(),
            image: Some("injected".into()),
            ..Container::default()
        }));
    }
    job
}

/// The plain job, corrected by `profile` in a namespace at `level`.
pub(crate) fn job_of(profile: &Profile, level: Level) -> Result<Pod<'_>, Refusal> {
    let mut job = plain_job(profile);
    steps::correct(&mut job, &EffectiveProfile::unchanged(profile), level)?;
    Ok(job)
}

/// What `profile` sets beyond each level, by container; `pod` is the pod itself.
///
/// Without what the job already has, which is not due to the profile.
pub fn beyond(profile: &Profile) -> BTreeMap<String, Beyond> {
    let before = plain_job(profile);
    let Ok(after) = job_of(profile, Level::Privileged) else {
        // A profile that cannot be applied to any job is rejected earlier.
        return BTreeMap::new();
    };
    let list = |pod: &Pod<'_>, level| -> Vec<(String, String)> {
        let line = |violation: &Violation<'_>| {
            let container = place_of(profile, pod, violation);
            (
                container,
                format!("{}: {}", violation.field, violation.value.text()),
            )
        };
        violations(pod, level).iter().map(line).collect()
    };
    let mut beyond: BTreeMap<String, Beyond> = BTreeMap::new();
    let new_at = |level| {
        let known = list(&before, level);
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
    beyond
}

/// The place of a violation: a role of the profile, the containers that other rules are
/// for, or the pod.
fn place_of(profile: &Profile, pod: &Pod<'_>, violation: &Violation<'_>) -> String {
    match scope_of(profile, pod, violation) {
        None => "pod".to_owned(),
        Some(scope) => named(scope),
    }
}

fn scope_of<'p>(
    profile: &'p Profile,
    pod: &Pod<'_>,
    violation: &Violation<'_>,
) -> Option<Scope<'p>> {
    match violation.place {
        Place::Pod => None,
        Place::Container(at) => Some(profile.containers.of(at.list, pod.container(at)).0),
    }
}

/// The violations for which a plain job would be denied in a namespace at `level`,
/// each as `place field: value`. Without services, which are not due to the
/// profile.
pub fn denied(profile: &Profile, level: Level) -> Vec<String> {
    let pod = match job_of(profile, level) {
        Ok(pod) => pod,
        Err(Refusal { field, problem, .. }) => return vec![format!("{field}: {problem}")],
    };
    let effective = EffectiveProfile::unchanged(profile);
    let listed = Violations::of(&pod, level, Some(&effective)).listed;
    // Of a service, what it has by itself is not due to the profile.
    let before = plain_job(profile);
    let own = violations(&before, level);
    let is_own = |violation: &Violation<'_>| {
        let is_same = |own: &Violation<'_>| {
            own.place == violation.place
                && own.field == violation.field
                && own.value == violation.value
        };
        let scope = scope_of(profile, &pod, violation);
        scope.is_some_and(|scope| scope.role() == Role::Services) && own.iter().any(is_same)
    };
    let due = listed.iter().filter(|violation| !is_own(violation));
    let line = |violation: &Violation<'_>| {
        let place = place_of(profile, &pod, violation);
        format!("{place} {}: {}", violation.field, violation.value.text())
    };
    due.map(line).collect()
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
        added.extend(taints.map(|taint| format!("nodes with the taint {taint}")));
    }
    added
}

/// The grants at `baseline` that have no effect, since the profile sets no such
/// value: the containers and the control.
pub(crate) fn idle_grants(profile: &Profile) -> Vec<(Scope<'_>, Family)> {
    let Ok(pod) = job_of(profile, Level::Privileged) else {
        return Vec::new();
    };
    let set = violations(&pod, Level::Baseline);
    let is_set = |scope, family| {
        set.iter().any(|violation| {
            violation.control.family() == family
                && scope_of(profile, &pod, violation) == Some(scope)
        })
    };
    let idle = profile.containers.all().flat_map(|(scope, rules)| {
        let granted = rules.grants.baseline.iter();
        granted.map(move |family| (scope, *family))
    });
    // The runner's global `privileged` flag applies to services, which is what this grant
    // is for, and others add what is allowed.
    let is_of_others = |scope: Scope<'_>, family| match family {
        Family::Privileged => scope.role() == Role::Services,
        Family::Capabilities => !profile
            .containers
            .rules(scope)
            .capabilities
            .allow
            .is_empty(),
        _ => false,
    };
    let idle =
        idle.filter(|(scope, family)| !is_set(*scope, *family) && !is_of_others(*scope, *family));
    idle.collect()
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
