//! What can be known of a profile before any job meets it.
//!
//! | severity | when |
//! |---|---|
//! | error | the API server would refuse the pod, the kubelet never start it, or the profile contradicts itself |
//! | warning | Podman fails in it, as it was measured to (`docs/which-profile.md`) |

use std::fmt;

use crate::gitlab::role::Role;
use crate::pod::field::{Field, Scalar};
use crate::profile::Profile;

pub mod exposure;
pub mod files;
mod job;
mod podman;
mod read;
mod together;
mod values;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The profile is not taken.
    Error,
    /// It is, and will likely disappoint.
    Warning,
    /// It is, and says something by its old name.
    Deprecation,
}

/// Something that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The field, from the top.
    pub path: Vec<&'static str>,
    /// Why, as a clause.
    pub told: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.join("."), self.told)
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
    fn error(&mut self, path: &[&'static str], told: impl Into<String>) {
        let (severity, path, told) = (Severity::Error, path.to_vec(), told.into());
        self.0.push(Finding {
            severity,
            path,
            told,
        });
    }

    fn warning(&mut self, path: &[&'static str], told: impl Into<String>) {
        let (severity, path, told) = (Severity::Warning, path.to_vec(), told.into());
        self.0.push(Finding {
            severity,
            path,
            told,
        });
    }
}

/// A value, and the field that says it.
struct Said<'p> {
    value: Scalar<'p>,
    path: Vec<&'static str>,
}

impl Said<'_> {
    fn is(&self, value: bool) -> bool {
        self.value.clone().bool() == Some(value)
    }

    fn id(&self) -> Option<i64> {
        self.value.clone().int()
    }

    /// Its words: the type, of a profile of seccomp or AppArmor.
    fn word(&self) -> Option<String> {
        match self.value.clone() {
            Scalar::Confinement(profile) => Some(profile.type_.to_string()),
            value => value.text().map(|text| text.to_string()),
        }
    }
}

/// What holds in a container of this role, in a pod that says nothing itself.
fn said(profile: &Profile, role: Role, field: Field) -> Option<Said<'_>> {
    let rules = profile.containers.role(role);
    let in_containers = |kind| vec!["containers", role.key(), kind];
    let contexts = [
        (in_containers("set"), &rules.set.security_context),
        (vec!["pod", "set"], &profile.pod.set.security_context),
        (
            vec!["pod", "ifUnset"],
            &profile.pod.if_unset.security_context,
        ),
        // It fills in where neither container nor pod say anything.
        (in_containers("ifUnset"), &rules.if_unset.security_context),
    ];
    contexts.into_iter().find_map(|(mut path, context)| {
        let value = context.get(field)?;
        path.extend(["securityContext", field.key().1]);
        Some(Said { value, path })
    })
}
