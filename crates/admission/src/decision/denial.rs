//! The sentences of a denial.
//!
//! The reader is the author of a CI job, and the place is one line of a job
//! log, where GitLab Runner puts `. Check https://…` behind it. So: one line,
//! what and where, by which label, how to fix it, no full stop at the end.

use crate::namespace::Label;
use std::fmt::{self, Write};

use crate::correct::change::Change;
use crate::correct::marker::CORRECTED_AS;
use crate::correct::refusal::Refusal;
use crate::namespace::label::Source;
use crate::namespace::policy::Policy;
use crate::namespace::{LEVEL, Namespace, PROFILE};
use crate::pod::place::Place;
use crate::profile::grants::Violations;
use crate::profile::{Profiles, Setting};
use crate::request::NO_UID;
use crate::request::impossible::Impossible;
use crate::standards::{Level, Violation};
use crate::text::{quoted, unquoted};

/// How many bytes of violations or changes one denial lists.
const LISTED: usize = 1000;
/// How many bytes of each, if it lists both.
const LISTED_OF_TWO: usize = 300;
/// How many bytes of violations, if they only illustrate the reason before them.
const LISTED_AFTER_REASON: usize = 200;
/// How many bytes of a single one.
const ITEM: usize = 520;
/// The length up to which the API server does not truncate a warning (Kubernetes,
/// "Dynamic Admission Control", v1.37).
const WARNING: usize = 256;
/// How many violations become a warning each.
const WARNINGS: usize = 8;

/// A denial, as it leaves podseal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// `status.code`: 403 for a decision, 503 where none could be made.
    pub code: u16,
    /// `status.message`
    pub message: String,
    /// `status.details.retryAfterSeconds`. It makes client-go retry, so it is
    /// right for an outage and wrong for a decision.
    pub retry_after_seconds: Option<u32>,
}

impl Refusal {
    /// The denial of a pod that its profile cannot correct.
    pub fn into_denial(self, namespace: &Namespace, policy: &Policy<'_>, uid: &str) -> Denial {
        let Refusal {
            place,
            field,
            problem,
            remedy,
        } = self;
        Denial::forbidden(format!(
            "{place}, {field}: {problem}; namespace {namespace} has {origin}, which podseal cannot \
             apply here; to fix this, {remedy}{audit}",
            namespace = quoted(&namespace.name),
            origin = policy.origin(),
            audit = audit_id(uid),
        ))
    }
}

impl Denial {
    /// The denial of a job in a namespace whose label names no known profile.
    pub fn unknown_profile(
        namespace: &Namespace,
        policy: &Policy<'_>,
        known: &Profiles,
        uid: &str,
    ) -> Denial {
        Denial::forbidden(format!(
            "namespace {namespace} has {origin}, and there is no profile with that name; to \
             fix this, ask a cluster administrator to {set} to one of {known}{audit}",
            namespace = quoted(&namespace.name),
            origin = policy.origin(),
            set = match policy.rule() {
                Some(_) => "correct that rule, or set the namespace's label podseal.io/profile,",
                None => "set the label podseal.io/profile",
            },
            known = known.names_near(policy.name),
            audit = audit_id(uid),
        ))
    }

    /// The denial of a job whose profile is only for runners, in a namespace
    /// that names none.
    pub fn runner_unnamed(namespace: &Namespace, policy: &Policy<'_>, uid: &str) -> Denial {
        Denial::forbidden(format!(
            "namespace {namespace} has {origin}, which grants more than the baseline, and does not \
             name the user that creates its job pods; to fix this, ask a cluster administrator to \
             set {set}{audit}",
            namespace = quoted(&namespace.name),
            origin = policy.origin(),
            set = match policy.rule() {
                Some(_) =>
                    "runner in that rule, such as system:serviceaccount:gitlab:gitlab-runner",
                None => {
                    "the annotation podseal.io/runner, such as \
                     system:serviceaccount:gitlab:gitlab-runner, on the namespace"
                }
            },
            audit = audit_id(uid),
        ))
    }

    /// The denial of a job whose namespace has an invalid setting.
    pub(crate) fn setting(
        namespace: &Namespace,
        policy: &Policy<'_>,
        (setting, problem): (Setting, String),
        uid: &str,
    ) -> Denial {
        let annotation = setting.annotation();
        let key = annotation.rsplit('/').next().unwrap_or(annotation);
        let by = match policy.source_of(setting) {
            Source::Rule(_) => format!("that rule's settings.{key}"),
            _ => format!("the annotation {annotation}"),
        };
        Denial::forbidden(format!(
            "namespace {namespace} has {origin}, and {by} cannot be applied: {problem}; to fix \
             this, ask a cluster administrator to correct or remove that{audit}",
            namespace = quoted(&namespace.name),
            origin = policy.origin(),
            audit = audit_id(uid),
        ))
    }

    /// The denial of a pod whose namespace could not be looked up.
    pub fn namespace_unavailable(namespace: &str, cause: &str, uid: &str) -> Denial {
        Denial {
            code: 503,
            message: format!(
                "podseal could not read the labels of namespace {namespace} ({cause}), and admits \
                 no pod without them; the request is retried; if this persists, ask a cluster \
                 administrator to check podseal's log{audit}",
                namespace = quoted(namespace),
                audit = audit_id(uid),
            ),
            retry_after_seconds: Some(1),
        }
    }

    fn forbidden(message: String) -> Denial {
        Denial {
            code: 403,
            message,
            retry_after_seconds: None,
        }
    }

    /// `status.reason`, the machine-readable name of the code.
    pub fn reason(&self) -> &'static str {
        match self.code {
            403 => "Forbidden",
            _ => "ServiceUnavailable",
        }
    }
}

/// A container with an image that it did not have before, or that was not there.
pub(crate) struct NewImage {
    pub(crate) place: Place,
    /// The beginning of its name, as much as messages show.
    pub(crate) container: String,
}

/// Denials of pods that violate the namespace's level or differ from their profile.
pub(crate) struct Rejection<'r, 'a> {
    pub(crate) namespace: &'r Namespace,
    pub(crate) policy: &'r Policy<'a>,
    pub(crate) uid: &'r str,
}

impl Rejection<'_, '_> {
    /// The denial of a pod that violates the namespace's level.
    pub(crate) fn of_violations(&self, violations: &Violations, is_job: bool) -> Denial {
        let required = self.required_level();
        let ignored = match violations.user_namespace_ignored {
            true => {
                "; hostUsers: false does not relax this, since podseal is configured for nodes \
                 that may ignore it"
            }
            false => "",
        };
        let audit = audit_id(self.uid);
        // The violations come last here: no change of the job or its runner helps.
        let ignores_user_namespaces = violations.user_namespace_ignored;
        let forbidden = self.forbidden_by_profile(ignores_user_namespaces);
        if let Some(set) = forbidden.filter(|_| is_job) {
            let correct = match self.policy.level_is_invalid {
                true => "correct the label podseal.io/level, or ",
                false => "",
            };
            return Denial::forbidden(format!(
                "the profile sets securityContext.{set} on build, so no job with it can meet the \
                 level: {required}{ignored}; to fix this, {correct}ask a cluster administrator for \
                 another profile or level; the violations are: {listed}{audit}",
                listed = listed_within(
                    LISTED_AFTER_REASON,
                    violations.listed.iter().map(Clause),
                    violations.count
                ),
            ));
        }
        let listed = listed(violations.listed.iter().map(Clause), violations.count);
        let granted = match is_job {
            true => ", beyond what its profile grants",
            false => "",
        };
        let remedy = match is_job {
            _ if self.policy.level_is_invalid => "correct the label podseal.io/level",
            true => "change the job's services or the runner's config.toml",
            false => "change the pod",
        };
        Denial::forbidden(format!(
            "{listed}; {required}{granted}{ignored}; to fix this, {remedy}, or ask a cluster \
             administrator for another profile or level{audit}",
        ))
    }

    /// What the profile sets although the level forbids it and the profile does not
    /// grant it.
    fn forbidden_by_profile(&self, ignores_user_namespaces: bool) -> Option<String> {
        match self.policy.level {
            Level::Restricted => {
                let profile = self.policy.profile?;
                profile.forbidden_at_restricted(ignores_user_namespaces)
            }
            Level::Baseline | Level::Privileged => None,
        }
    }

    /// The denial of a job's pod with the mark of another version of its profile,
    /// which needs a grant and lacks limits that come with it.
    pub(crate) fn of_ungranted(&self, violations: &Violations, lacking: &[Change<'_>]) -> Denial {
        Denial::forbidden(format!(
            "{listed}; namespace {namespace} has {origin}, which grants this only together with what \
             it sets, and the pod, which its annotation {CORRECTED_AS} says was corrected by \
             another version of the profile, lacks {lacking}; to fix this, retry the job once all \
             replicas of podseal have the new version, or ask a cluster administrator who wrote \
             that annotation{audit}",
            listed = listed_within(
                LISTED_OF_TWO,
                violations.listed.iter().map(Clause),
                violations.count
            ),
            namespace = quoted(&self.namespace.name),
            origin = self.policy.origin(),
            lacking = listed_within(LISTED_OF_TWO, lacking.iter(), lacking.len()),
            audit = audit_id(self.uid),
        ))
    }

    /// The denial of an update that puts an image or a container into a pod that
    /// violates the namespace's level.
    pub(crate) fn of_new_image(&self, new: &NewImage, violations: &Violations) -> Denial {
        let NewImage { place, container } = new;
        let (container, listed) = (
            quoted(container),
            listed(violations.listed.iter().map(Clause), violations.count),
        );
        let required = self.required_level();
        Denial::forbidden(format!(
            "{place} {container}, image: a new image or container is not allowed in a pod that \
             violates its level, since it could use what the pod has ({listed}); {required}; to fix \
             this, create another pod with that image, such as by retrying the job, or ask a \
             cluster administrator for another profile or level{audit}",
            audit = audit_id(self.uid),
        ))
    }

    /// The denial of a pod that Kubernetes rejects, or that has more than
    /// podseal reads.
    pub(crate) fn of_impossible(&self, impossible: &Impossible) -> Denial {
        Denial::forbidden(format!(
            "{impossible}; {required}, which podseal does not check for such a pod; to fix this, \
             {remedy}{audit}",
            required = self.required_level(),
            remedy = impossible.remedy(),
            audit = audit_id(self.uid),
        ))
    }

    /// The level that the namespace requires, and by which labels.
    fn required_level(&self) -> String {
        let by = match self.policy.source_of_label(Label::Level) {
            Source::Label if self.policy.level_is_invalid => format!("label {LEVEL} is invalid"),
            Source::Label => format!("label {LEVEL}"),
            Source::Rule(rule) => format!("namespace rule {}", unquoted(rule)),
            _ => format!("label {LEVEL} is not set"),
        };
        let profile = match self.policy.source_of_label(Label::Profile) {
            Source::Rule(rule) => format!(
                "profile {} from the namespace rule {}",
                quoted(self.policy.name),
                unquoted(rule)
            ),
            _ => format!("{PROFILE}: {}", quoted(self.policy.name)),
        };
        format!(
            "namespace {namespace} requires every pod to meet {level} ({by}; {profile})",
            namespace = quoted(&self.namespace.name),
            level = self.policy.level.name(),
        )
    }

    /// The denial of a job's pod that does not match its profile.
    pub(crate) fn of_undone(&self, undone: &[Change<'_>]) -> Denial {
        Denial::forbidden(format!(
            "the pod lacks what its profile sets: {undone}; namespace {namespace} has {origin}, \
             and either something changed the pod after podseal, or podseal's mutating webhook was \
             not called; to fix this, ask a cluster administrator which admission webhook, policy \
             or feature gate changed the pod, and whether podseal's mutating webhook is \
             registered{audit}",
            undone = listed(undone.iter(), undone.len()),
            namespace = quoted(&self.namespace.name),
            origin = self.policy.origin(),
            audit = audit_id(self.uid),
        ))
    }
}

/// The warnings about a denial that the mode does not enforce, each of a length
/// that the API server does not truncate.
pub(crate) fn warning(denial: &Denial, violations: &Violations) -> Vec<String> {
    if violations.is_empty() {
        return vec![shortened(format!(
            "podseal would deny this: {}",
            denial.message
        ))];
    }
    let mut warnings: Vec<_> = violations
        .listed
        .iter()
        .take(WARNINGS)
        .map(|violation| shortened(format!("podseal would deny this: {}", Clause(violation))))
        .collect();
    if violations.count > WARNINGS {
        warnings.push(format!(
            "podseal would deny this: and {} more",
            violations.count - WARNINGS
        ));
    }
    warnings
}

fn shortened(mut text: String) -> String {
    if text.chars().count() > WARNING {
        let end = text
            .char_indices()
            .nth(WARNING - 1)
            .map_or(text.len(), |(end, _)| end);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// `items` in one line, at most about [`LISTED`] bytes of it, and how many more
/// there are of `count`.
fn listed<T: fmt::Display>(items: impl Iterator<Item = T>, count: usize) -> String {
    listed_within(LISTED, items, count)
}

/// The same, at most about `bytes` of it.
fn listed_within<T: fmt::Display>(
    bytes: usize,
    items: impl Iterator<Item = T>,
    count: usize,
) -> String {
    let mut line = String::new();
    let mut count_listed = 0;
    for item in items {
        if line.len() > bytes {
            break;
        }
        let separator = if count_listed == 0 { "" } else { "; " };
        let item = item.to_string();
        let end = item.floor_char_boundary(ITEM);
        let cut = if end < item.len() { "…" } else { "" };
        let _ = write!(line, "{separator}{}{cut}", &item[..end]);
        count_listed += 1;
    }
    if count_listed < count {
        let _ = write!(line, "; and {} more", count - count_listed);
    }
    line
}

/// A violation as a clause.
struct Clause<'v, 'a>(&'v Violation<'a>);

impl fmt::Display for Clause<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            control,
            place,
            container,
            field,
            value,
        } = self.0;
        match place {
            Place::Pod => f.write_str("pod")?,
            place => write!(f, "{place} {}", quoted(container))?,
        }
        let name = control.family().name();
        write!(
            f,
            ", {field}: {} is forbidden by the control {name}",
            unquoted(&value.text())
        )
    }
}

fn audit_id(uid: &str) -> String {
    match uid {
        "" | NO_UID => String::new(),
        uid => format!(" (audit id {})", quoted(uid)),
    }
}
