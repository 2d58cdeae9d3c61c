//! What a profile costs in security: what it makes of a plain job's containers,
//! against the Pod Security Standards.

use std::collections::BTreeMap;

use crate::correct::refusal::Refusal;
use crate::correct::steps;
use crate::gitlab::role::Role;
use crate::pod::Pod;
use crate::pod::place::{ContainerRef, Place};
use crate::profile::grants::Violations;
use crate::profile::{EffectiveProfile, Profile};
use crate::standards::{Family, Level, Violation, violations};

/// What one container, or the pod, has beyond the levels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// What the level `baseline` forbids, each as `field: value`.
    pub baseline: Vec<String>,
    /// What only the level `restricted` forbids.
    pub restricted: Vec<String>,
}

/// A job as its author writes it and the runner makes it, with a service and
/// nothing said of security.
const JOB: &str = r#"{"metadata": {"name": "job", "labels": {"job.runner.gitlab.com/pod": "job"}},
  "spec": {
    "initContainers": [{"name": "init-permissions", "image": "helper"}],
    "containers": [{"name": "build", "image": "podman"}, {"name": "helper", "image": "helper"},
                   {"name": "svc-0", "image": "postgres"}]}}"#;

fn plain_job() -> Pod<'static> {
    serde_json::from_str(JOB).expect("the job is a pod")
}

/// What `profile` makes of the job in a namespace at `level`.
pub(crate) fn job_of(profile: &Profile, level: Level) -> Result<Pod<'_>, Refusal> {
    let mut job = plain_job();
    steps::correct(&mut job, &EffectiveProfile::unchanged(profile), level)?;
    Ok(job)
}

/// What `profile` sets beyond each level, by container; `pod` is the pod itself.
///
/// What the job has anyway is left out: it is no doing of the profile's.
pub fn beyond(profile: &Profile) -> BTreeMap<String, Beyond> {
    let before = plain_job();
    let Ok(after) = job_of(profile, Level::Privileged) else {
        // A profile that no job can have is refused before it is asked about.
        return BTreeMap::new();
    };
    let told = |pod: &Pod<'_>, level| -> Vec<(String, String)> {
        let tell = |violation: &Violation<'_>| {
            let container = place_of(violation).to_owned();
            (
                container,
                format!("{}: {}", violation.field, violation.value.text()),
            )
        };
        violations(pod, level).iter().map(tell).collect()
    };
    let mut beyond: BTreeMap<String, Beyond> = BTreeMap::new();
    let new_at = |level| {
        let known = told(&before, level);
        let mut new = told(&after, level);
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

/// Who violates: a role of the profile, or the pod.
fn place_of(violation: &Violation<'_>) -> &'static str {
    match violation.place {
        Place::Pod => "pod",
        Place::Container(ContainerRef { list, .. }) => Role::of(list, &violation.container).key(),
    }
}

/// What a plain job would be denied for in a namespace at `level`, each as `who
/// field: value`. A service is as its author writes it, and no doing of the profile's.
pub fn denied(profile: &Profile, level: Level) -> Vec<String> {
    let pod = match job_of(profile, level) {
        Ok(pod) => pod,
        Err(Refusal { field, problem, .. }) => return vec![format!("{field}: {problem}")],
    };
    let effective = EffectiveProfile::unchanged(profile);
    let violations = Violations::of(&pod, level, Some(&effective))
        .listed
        .into_iter();
    let told = violations.map(|violation| (place_of(&violation), violation));
    let told = told.filter(|(place, _)| *place != Role::Services.key());
    told.map(|(place, violation)| {
        format!("{place} {}: {}", violation.field, violation.value.text())
    })
    .collect()
}

/// What `profile` gives jobs that no level speaks of: devices, annotations, and
/// variables, whose values are left out. Each says who gets it.
pub fn gives(profile: &Profile) -> Vec<String> {
    let mut gives = Vec::new();
    for role in Role::ALL {
        let rules = profile.containers.role(role);
        for fields in [&rules.set, &rules.if_unset] {
            let limits = fields.resources.limits.iter();
            let limits = limits.map(|(name, amount)| format!("device {name}: {amount}"));
            let variables = fields.env.keys().map(|name| format!("variable {name}"));
            let to_role = |what: String| format!("{what} to {}", role.key());
            gives.extend(limits.chain(variables).map(to_role));
        }
    }
    for fields in [&profile.pod.set, &profile.pod.if_unset] {
        let annotations = fields.annotations.iter();
        gives.extend(annotations.map(|(key, value)| format!("annotation {key}: {value}")));
    }
    gives
}

/// The grants at `baseline` that admit nothing, since the profile sets no such value:
/// role and control.
pub(crate) fn idle_grants(profile: &Profile) -> Vec<(Role, Family)> {
    let set = match job_of(profile, Level::Privileged) {
        Ok(pod) => violations(&pod, Level::Baseline)
            .iter()
            .map(|violation| (place_of(violation), violation.control.family()))
            .collect::<Vec<_>>(),
        Err(_) => return Vec::new(),
    };
    let idle = Role::ALL.into_iter().flat_map(|role| {
        let granted = profile.containers.role(role).grants.baseline.iter();
        granted.map(move |family| (role, *family))
    });
    // The runner's global flag marks services, which the grant of it is for.
    idle.filter(|(role, family)| {
        !set.contains(&(role.key(), *family))
            && (*role, *family) != (Role::Services, Family::Privileged)
    })
    .collect()
}

/// What `profile` grants its jobs in a namespace of `level`: role and control.
pub fn grants(profile: &Profile, level: Level) -> Vec<(&'static str, &'static str)> {
    let of_role = |role: Role| {
        let grants = &profile.containers.role(role).grants;
        let families = match level {
            Level::Privileged => &[][..],
            Level::Baseline => &grants.baseline,
            Level::Restricted => &grants.restricted,
        };
        families
            .iter()
            .map(move |family| (role.key(), family.name()))
    };
    Role::ALL.into_iter().flat_map(of_role).collect()
}
