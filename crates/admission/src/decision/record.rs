//! The record of a decision: one JSON object a decision, complete by itself.
//!
//! Its fields are an interface; `docs/audit-log.md` and the JSON Schema next to it
//! describe them. Every string from the request is escaped and bounded, and so is
//! the whole record, so that a user who can create pods cannot forge a line, flood
//! the log, or hide in a truncated line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::denial::shortened;
use super::{Decision, Outcome};
use crate::cautions::Caution;
use crate::correct::change::Change;
use crate::gitlab::job::Job;
use crate::namespace::policy::Policy;
use crate::pod::Pod;
use crate::request::{Act, Request};
use crate::standards::Violation;
use crate::text::{SHOWN, bounded};

/// The `target` of records, as other lines of the log have theirs.
pub const TARGET: &str = "podseal::decision";
/// The version of the record's schema.
pub const SCHEMA: &str = "podseal.io/decision/v1";

/// How many changes are recorded.
const CHANGES: usize = 64;
/// The length of a record in bytes, with the end of its line. Docker and containerd
/// split longer lines, and half a record cannot be parsed.
const LINE: usize = 16 * 1024;
/// The initial capacity, enough for most records.
const USUAL: usize = 4096;

/// Which of the webhooks decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Webhook {
    /// `/mutate`
    Mutate,
    /// `/validate`
    Validate,
}

impl Webhook {
    /// Both webhooks, in the order in which the API server calls them.
    pub const ALL: [Webhook; 2] = [Webhook::Mutate, Webhook::Validate];

    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Webhook::Mutate => "mutate",
            Webhook::Validate => "validate",
        }
    }
}

/// The part of the record about the request, kept while the decision consumes it.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    #[serde(skip)]
    uid: String,
    #[serde(rename = "uid")]
    uid_shown: String,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subresource: Option<String>,
    namespace: String,
    /// The pod's name; empty where it is to be generated.
    pod: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    user: String,
    groups: Vec<String>,
    group_count: usize,
    dry_run: bool,
    #[serde(skip)]
    job: JobShown,
}

/// The job, as the record shows it.
#[derive(Debug, Clone, Default, Serialize)]
struct JobShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
}

/// The record.
#[derive(Serialize)]
struct Record<'r> {
    schema: &'static str,
    target: &'static str,
    time: &'r str,
    version: &'static str,
    webhook: Webhook,
    #[serde(flatten)]
    about: &'r About,
    #[serde(flatten)]
    job: &'r JobShown,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_rule: Option<&'r str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    mode: &'static str,
    decision: &'static str,
    code: u16,
    message: &'r str,
    warnings: Vec<&'r str>,
    cautions: Vec<Cautioned>,
    violations: Vec<Violated>,
    violation_count: usize,
    controls: Vec<&'static str>,
    changes: Vec<String>,
    change_count: usize,
    duration_us: u64,
}

/// A violation, as records and `podseal review -o json` show it.
#[derive(Debug, Clone, Serialize)]
pub struct Violated {
    /// The control's name.
    pub control: &'static str,
    /// The container's name; none for the pod.
    pub container: Option<String>,
    /// The field.
    pub field: String,
    /// The field's value.
    pub value: String,
}

impl From<&Violation<'_>> for Violated {
    fn from(violation: &Violation<'_>) -> Self {
        let container = &violation.container;
        Violated {
            control: violation.control.family().name(),
            container: (!container.is_empty()).then(|| shown(container)),
            field: violation.field.to_string(),
            value: shown(&violation.value.text()),
        }
    }
}

/// A caution, as records and `podseal review -o json` show it.
#[derive(Debug, Clone, Serialize)]
pub struct Cautioned {
    /// The rule's id.
    pub id: &'static str,
    /// Where, what follows, and what to do.
    pub text: String,
}

impl Cautioned {
    /// A caution with its whole text.
    pub fn whole(caution: &Caution) -> Cautioned {
        Cautioned {
            id: caution.id.name(),
            text: caution.to_string(),
        }
    }
}

impl From<&Caution> for Cautioned {
    fn from(caution: &Caution) -> Self {
        Cautioned {
            id: caution.id.name(),
            text: shortened(caution.to_string()),
        }
    }
}

/// The settings by which the namespace, or its rule, changes the profile.
fn settings(policy: &Policy<'_>) -> BTreeMap<&'static str, String> {
    let settings = policy.settings();
    settings
        .map(|(setting, value)| (setting.name(), shown(value)))
        .collect()
}

fn shown(text: &str) -> String {
    bounded(text).into_owned()
}

impl About {
    /// The request's own part of the record.
    pub fn of(request: &Request<'_>) -> About {
        let pod = request.object.as_ref();
        let metadata = pod.map(|pod| &pod.metadata);
        let name = metadata.and_then(|metadata| metadata.name.as_deref());
        let prefix = metadata.and_then(|metadata| metadata.generate_name.as_deref());
        let groups = &request.user_info.groups;
        About {
            uid: request.uid.to_string(),
            uid_shown: shown(&request.uid),
            operation: shown(&request.operation),
            subresource: request
                .sub_resource
                .as_deref()
                .filter(|s| !s.is_empty())
                .map(shown),
            namespace: shown(request.namespace.as_deref().unwrap_or_default()),
            pod: shown(name.unwrap_or_default()),
            generate_name: prefix.filter(|prefix| !prefix.is_empty()).map(shown),
            owner: pod.and_then(owner),
            user: shown(request.user()),
            groups: groups.first.iter().map(|group| shown(group)).collect(),
            group_count: groups.count,
            dry_run: request.dry_run == Some(true),
            job: JobShown::of_update(request),
        }
    }

    /// The review's uid, as it is echoed.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The same, when nothing else is needed any more.
    pub fn into_uid(self) -> String {
        self.uid
    }
}

impl JobShown {
    fn of(job: &Job<'_>) -> JobShown {
        let optional = |text: Option<&str>| text.map(shown);
        JobShown {
            job_id: optional(job.id.as_deref()),
            project_id: optional(job.project_id.as_deref()),
            project: optional(job.project.as_deref()),
        }
    }

    /// The job of the pod that is updated. The user of an update does not
    /// identify a job, so the decision has none, but the reader of a record
    /// about a debug container needs to know in which job it is.
    fn of_update(request: &Request<'_>) -> JobShown {
        let before = request.old_object.as_ref();
        let pod = before.filter(|_| request.act() == Act::Update);
        let job = pod.and_then(Job::from_pod);
        job.as_ref().map(JobShown::of).unwrap_or_default()
    }
}

/// The controller that the pod belongs to, as `kind/name`.
fn owner(pod: &Pod<'_>) -> Option<String> {
    let owners = &pod.metadata.owner_references;
    let owner = owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .or(owners.first())?;
    Some(format!("{}/{}", bounded(&owner.kind), bounded(&owner.name)))
}

/// The change as a sentence.
fn sentence(change: &Change<'_>) -> String {
    let mut sentence = String::with_capacity(SHOWN);
    // Writing to a string cannot fail.
    let _ = write!(sentence, "{change}");
    sentence
}

/// The record of a `decision` at `time` (RFC 3339) that took `duration`: JSON in one
/// line, without its end.
pub fn line(
    webhook: Webhook,
    about: &About,
    decision: &Decision<'_>,
    time: &str,
    duration: Duration,
) -> String {
    let (code, message) = match &decision.outcome {
        Outcome::Allow(why) => (200, why.reason(decision.policy.as_ref())),
        Outcome::Mutate(_) => (200, "corrected to match the profile".into()),
        Outcome::Deny(denial) => (denial.code, denial.message.as_str().into()),
    };
    let policy = decision.policy.as_ref();
    let job = decision.job.as_ref().map(JobShown::of);
    let violations = decision.violations.listed.iter().map(Violated::from);
    let changes = decision.changes.iter().take(CHANGES);
    let record = Record {
        schema: SCHEMA,
        target: TARGET,
        time,
        version: env!("CARGO_PKG_VERSION"),
        webhook,
        about,
        job: job.as_ref().unwrap_or(&about.job),
        profile: policy.map(|policy| shown(policy.name)),
        default_rule: policy.and_then(|policy| policy.rule()),
        settings: policy.map(settings).unwrap_or_default(),
        level: policy.map(|policy| policy.level.name()),
        mode: decision.mode().name(),
        decision: decision.outcome.name(),
        code,
        message: &message,
        warnings: decision.warnings().collect(),
        cautions: decision.cautions.iter().map(Cautioned::from).collect(),
        violations: violations.collect(),
        violation_count: decision.violations.count,
        controls: decision
            .violations
            .families
            .iter()
            .map(|family| family.name())
            .collect(),
        changes: changes.map(sentence).collect(),
        change_count: decision.changes.len(),
        duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
    };
    record.into_line()
}

impl Record<'_> {
    /// The record as JSON, shorter than [`LINE`]. If it is longer, the longer
    /// list is cut in half until it fits; the counts are of all.
    fn into_line(mut self) -> String {
        loop {
            let mut line = Vec::with_capacity(USUAL);
            serde_json::to_writer(&mut line, &self).expect("a record has no map with odd keys");
            let line = String::from_utf8(line).expect("JSON is text");
            let (violations, changes) = (self.violations.len(), self.changes.len());
            if line.len() < LINE || violations + changes == 0 {
                return line;
            }
            if changes >= violations {
                self.changes.truncate(changes / 2);
            } else {
                self.violations.truncate(violations / 2);
            }
        }
    }
}
