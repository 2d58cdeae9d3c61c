//! The sentences of a denial.
//!
//! The reader is the author of a CI job, and the place is one line of a job
//! log, where GitLab Runner puts `. Check https://…` behind it. So: one line,
//! what and where, by which label, how to fix it, no full stop at the end.

use std::fmt::{self, Write};

use crate::cautions::Caution;
use crate::correct::refusal::Refusal;
use crate::namespace::Namespace;
use crate::namespace::label::{Label, STRICT, Source};
use crate::namespace::policy::Policy;
use crate::pod::place::Place;
use crate::profile::grants::Violations;
use crate::profile::{Profiles, Setting};
use crate::request::NO_UID;
use crate::standards::Violation;
use crate::text::{quoted, unquoted};

/// How many bytes of violations or changes one denial lists.
const LISTED: usize = 1000;
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

    /// The denial of a job that may not run, in a strict namespace.
    pub(crate) fn strict(
        namespace: &Namespace,
        policy: &Policy<'_>,
        cautions: &[Caution],
        uid: &str,
    ) -> Denial {
        let by = match policy.source_of_label(Label::Strict) {
            Source::Rule(rule) => format!("the namespace rule {}", unquoted(rule)),
            _ => format!("the label {STRICT}"),
        };
        Denial::forbidden(format!(
            "{listed}; namespace {namespace} denies what may keep a job from running, by {by}{audit}",
            listed = listed(cautions.iter(), cautions.len()),
            namespace = quoted(&namespace.name),
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

    pub(super) fn forbidden(message: String) -> Denial {
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

/// The text, at the length up to which the API server does not truncate a warning.
pub(crate) fn shortened(mut text: String) -> String {
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
pub(super) fn listed<T: fmt::Display>(items: impl Iterator<Item = T>, count: usize) -> String {
    listed_within(LISTED, items, count)
}

/// The same, at most about `bytes` of it.
pub(super) fn listed_within<T: fmt::Display>(
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
pub(super) struct Clause<'v, 'a>(pub(super) &'v Violation<'a>);

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

pub(super) fn audit_id(uid: &str) -> String {
    match uid {
        "" | NO_UID => String::new(),
        uid => format!(" (audit id {})", quoted(uid)),
    }
}
