//! The sentences of a denial.
//!
//! The reader is the author of a CI job, and the place is one line of a job
//! log, where GitLab Runner puts `. Check https://…` behind it. So: one line,
//! what and where, by which label, how to mend it, no full stop at the end.

use super::policy::{Namespace, PROFILE};
use super::profile::Profiles;
use super::text::quoted;

/// Why a pod and its profile cannot be brought together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is concerned: `pod`, or a container.
    pub place: String,
    /// The field that stands in the way.
    pub field: String,
    /// What is wrong with it, as the rest of a sentence.
    pub problem: String,
    /// What to do about it, as an imperative.
    pub remedy: String,
}

/// A denial, as it leaves podseal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// `status.code`: 403 for a decision, 503 where none could be made.
    pub code: u16,
    /// `status.message`
    pub message: String,
    /// `status.details.retryAfterSeconds`. Its presence makes client-go try
    /// again, so it is right for an outage and wrong for a decision.
    pub retry_after_seconds: Option<u32>,
}

impl Refusal {
    /// The denial of a pod that its profile cannot correct.
    pub fn into_denial(self, namespace: &Namespace, profile: &str, uid: &str) -> Denial {
        let Refusal {
            place,
            field,
            problem,
            remedy,
        } = self;
        Denial::forbidden(format!(
            "{place}, {field}: {problem}; namespace {namespace} has the label {PROFILE}: \
             {profile}, which podseal cannot apply here; to mend it, {remedy}{audit}",
            namespace = quoted(&namespace.name),
            audit = audit_id(uid),
        ))
    }
}

impl Denial {
    /// The denial of a job in a namespace whose label names no known profile.
    pub fn unknown_profile(
        namespace: &Namespace,
        label: &str,
        known: &Profiles,
        uid: &str,
    ) -> Denial {
        Denial::forbidden(format!(
            "namespace {namespace} has the label {PROFILE}: {label}, and podseal knows no profile \
             of that name; to mend it, ask a cluster administrator to set the label to one of \
             {known}{audit}",
            namespace = quoted(&namespace.name),
            label = quoted(label),
            known = known.names(),
            audit = audit_id(uid),
        ))
    }

    /// The denial of a pod whose namespace could not be looked up.
    pub fn namespace_unavailable(namespace: &str, cause: &str, uid: &str) -> Denial {
        Denial {
            code: 503,
            message: format!(
                "podseal could not read the labels of namespace {namespace} ({cause}), and admits \
                 nothing on a guess; this is retried, and if it persists, ask a cluster \
                 administrator to look at podseal's log{audit}",
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

    /// `status.reason`, the machine's word for the code.
    pub fn reason(&self) -> &'static str {
        match self.code {
            403 => "Forbidden",
            _ => "ServiceUnavailable",
        }
    }
}

fn audit_id(uid: &str) -> String {
    match uid {
        "" => String::new(),
        uid => format!(" (audit id {})", quoted(uid)),
    }
}
