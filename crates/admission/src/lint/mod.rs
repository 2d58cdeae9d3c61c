//! Checks a profile before any job uses it.
//!
//! | severity | when |
//! |---|---|
//! | error | the API server would reject the pod, the kubelet would never start it, or the profile contradicts itself |
//! | warning | Podman is known to fail with it (measured in `docs/which-profile.md`) |

use std::fmt;

use crate::gitlab::role::Role;
use crate::pod::field::{Field, Scalar};
use crate::profile::Profile;

pub mod exposure;
pub mod files;
mod job;
mod pod_fields;
mod podman;
mod read;
mod sample;
mod together;
mod values;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The profile cannot be used.
    Error,
    /// It can be used, and will probably not work as intended.
    Warning,
    /// It can be used, and uses an old name.
    Deprecation,
}

/// A problem of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The field, from the top.
    pub path: Vec<&'static str>,
    /// Why, as a clause.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.join("."), self.problem)
    }
}

/// All that is wrong with `profile`, errors first.
pub fn check(profile: &Profile) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    findings.itself(profile);
    findings.pod(&["pod", "set"], &profile.pod.set);
    findings.pod(&["pod", "ifUnset"], &profile.pod.if_unset);
    for role in Role::ALL {
        findings.container(profile, role);
    }
    findings.bound(profile);
    findings.podman(profile);
    if findings
        .0
        .iter()
        .all(|finding| finding.severity == Severity::Warning)
    {
        findings.job(profile);
    }
    let Findings(mut found) = findings;
    found.sort_by_key(|finding| finding.severity == Severity::Warning);
    found
}

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, path: &[&'static str], problem: impl Into<String>) {
        let (severity, path, problem) = (Severity::Error, path.to_vec(), problem.into());
        self.0.push(Finding {
            severity,
            path,
            problem,
        });
    }

    fn warning(&mut self, path: &[&'static str], problem: impl Into<String>) {
        let (severity, path, problem) = (Severity::Warning, path.to_vec(), problem.into());
        self.0.push(Finding {
            severity,
            path,
            problem,
        });
    }
}

/// A value, and the field that sets it.
struct SetValue<'p> {
    value: Scalar<'p>,
    path: Vec<&'static str>,
}

impl SetValue<'_> {
    fn is(&self, value: bool) -> bool {
        self.value.clone().bool() == Some(value)
    }

    fn id(&self) -> Option<i64> {
        self.value.clone().int()
    }

    /// The value as text; for a seccomp or AppArmor profile, its type.
    fn text(&self) -> Option<String> {
        match self.value.clone() {
            Scalar::Confinement(profile) => Some(profile.type_.to_string()),
            value => value.text().map(|text| text.to_string()),
        }
    }
}

/// What `profile` sets for a container of this role, in a pod that sets nothing
/// itself.
fn set_value(profile: &Profile, role: Role, field: Field) -> Option<SetValue<'_>> {
    let rules = profile.containers.role(role);
    let in_containers = |kind| vec!["containers", role.key(), kind];
    let contexts = [
        (in_containers("set"), &rules.set.security_context),
        (vec!["pod", "set"], &profile.pod.set.security_context),
        (
            vec!["pod", "ifUnset"],
            &profile.pod.if_unset.security_context,
        ),
        // It applies if neither the container nor the pod has a value.
        (in_containers("ifUnset"), &rules.if_unset.security_context),
    ];
    contexts.into_iter().find_map(|(mut path, context)| {
        let value = context.get(field)?;
        path.extend(["securityContext", field.key().1]);
        Some(SetValue { value, path })
    })
}
