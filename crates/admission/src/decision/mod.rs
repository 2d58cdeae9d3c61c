//! The decision on a request.
//!
//! [`Decision::outcome`] is what the policy requires. [`Decision::answer`] is what
//! podseal responds, which is less strict in the modes `warn` and `audit`.

pub mod claim;
pub mod denial;
pub mod pod_event;
pub mod record;
pub(crate) mod rejection;

use std::borrow::Cow;

use json_patch::Patch;
use serde::Deserialize;

use self::denial::{Denial, shortened, warning};
use crate::cautions::Caution;
use crate::correct::change::Change;
use crate::gitlab::job::Job;
use crate::namespace::Mode;
use crate::namespace::label::Source;
use crate::namespace::policy::Policy;
use crate::profile::grants::Violations;
use crate::request::Request;
use crate::text::unquoted;

/// The decision on a request, with everything that its record needs.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// What the namespace requires, if it opts in.
    pub policy: Option<Policy<'a>>,
    /// The job the pod runs, if it is a job pod.
    pub job: Option<Job<'a>>,
    /// What the policy requires.
    pub outcome: Outcome,
    /// What the correction changes; in mode `audit`, what it would change.
    pub changes: Vec<Change<'a>>,
    /// What may keep the job from running.
    pub cautions: Vec<Caution>,
    /// What `build` cannot do with its profile, in words.
    pub cannot: Option<&'static str>,
    /// What the pod violates of the namespace's level.
    pub violations: Violations,
    /// Notices, all of which are in the record.
    pub notices: Vec<Notice>,
}

/// A message in addition to the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// In a sentence without a full stop.
    pub text: String,
    /// Who reads it.
    pub audience: Audience,
}

/// Who reads a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The readers of the record.
    Record,
    /// They and the creator of the pod.
    Creator,
}

/// What the policy requires.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The pod is allowed as it is.
    Allow(Allowed),
    /// The pod is allowed with this patch.
    Mutate(Patch),
    /// The pod is denied.
    Deny(Denial),
}

/// An [`Outcome`] by its name in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// [`Outcome::Allow`]
    Allow,
    /// [`Outcome::Mutate`]
    Mutate,
    /// [`Outcome::Deny`]
    Deny,
}

impl Verdict {
    /// Every verdict, the most permissive first.
    pub const ALL: [Verdict; 3] = [Verdict::Allow, Verdict::Mutate, Verdict::Deny];

    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Mutate => "mutate",
            Verdict::Deny => "deny",
        }
    }
}

/// Why a pod is allowed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// The request neither creates nor changes a pod.
    NotAPod,
    /// The namespace has no profile label, and there are no namespace rules.
    NotOptedIn,
    /// The namespace has no profile label, and no namespace rule matches it.
    NoRule,
    /// The namespace is the cluster's own, or podseal's.
    LeftAlone,
    /// The pod is not a job's.
    NotAJob,
    /// The pod has a job's labels, and its creator is not one of the runners
    /// that the namespace names.
    NotTheRunner,
    /// The job runs on Windows, which no profile supports.
    Windows,
    /// The API server itself rejects the pod, with its own message.
    RefusedByKubernetes,
    /// The pod already matches its profile.
    AlreadyRight,
    /// The pod meets the namespace's level, with what its profile grants.
    Complies,
    /// The same, and another version of its profile corrected the pod.
    OtherVersion,
    /// The change adds no violation.
    NothingNew,
}

impl Allowed {
    /// The reason as a clause, under `policy`.
    pub fn reason(self, policy: Option<&Policy<'_>>) -> Cow<'static, str> {
        match policy.map(Policy::source_of_runner) {
            Some(Source::Rule(rule)) if self == Allowed::NotTheRunner => Cow::Owned(format!(
                "the pod has a job's labels, but its creator is not the runner of namespace rule {}",
                unquoted(rule)
            )),
            _ => Cow::Borrowed(self.clause()),
        }
    }

    fn clause(self) -> &'static str {
        match self {
            Allowed::NotAPod => "the request neither creates nor changes a pod",
            Allowed::NotOptedIn => "the namespace has no label podseal.io/profile",
            Allowed::NoRule => {
                "the namespace has no label podseal.io/profile, and no namespace rule matches it"
            }
            Allowed::LeftAlone => {
                "the namespace is the cluster's own or podseal's, which podseal ignores \
                 whatever its labels"
            }
            Allowed::NotAJob => "the pod is not a GitLab Runner job pod",
            Allowed::NotTheRunner => {
                "the pod has a job's labels, but its creator is not in podseal.io/runner"
            }
            Allowed::Windows => "the job runs on Windows, which no profile supports",
            Allowed::RefusedByKubernetes => {
                "Kubernetes itself rejects this pod, because of its annotations or a container's \
                 name"
            }
            Allowed::AlreadyRight => "the pod already matches the profile",
            Allowed::Complies => "the pod meets the namespace's level",
            Allowed::OtherVersion => {
                "the pod meets the namespace's level, and another version of its profile \
                 corrected it"
            }
            Allowed::NothingNew => "the change adds no violation of the namespace's level",
        }
    }
}

/// What podseal responds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer<'d> {
    /// Allowed as it is.
    Allow,
    /// Allowed with a patch.
    Patch(&'d Patch),
    /// Denied.
    Deny(&'d Denial),
}

impl Outcome {
    /// The outcome's name in records.
    pub fn name(&self) -> &'static str {
        self.verdict().name()
    }

    /// The outcome without its reason, patch or message.
    pub fn verdict(&self) -> Verdict {
        match self {
            Outcome::Allow(_) => Verdict::Allow,
            Outcome::Mutate(_) => Verdict::Mutate,
            Outcome::Deny(_) => Verdict::Deny,
        }
    }
}

impl<'a> Decision<'a> {
    pub(crate) fn new(policy: Option<Policy<'a>>, job: Option<Job<'a>>, outcome: Outcome) -> Self {
        let of_policy = policy.iter().flat_map(|policy| &policy.warnings);
        let mut notices: Vec<_> = of_policy.cloned().map(Notice::to_creator).collect();
        let policy_of_job = policy.as_ref().filter(|_| job.is_some());
        if let Some(policy) = policy_of_job.filter(|policy| policy.admits_trusted_labels()) {
            let (text, audience) = (labels_trusted(policy), Audience::Record);
            notices.push(Notice { text, audience });
        }
        Decision {
            policy,
            job,
            outcome,
            changes: Vec::new(),
            cautions: Vec::new(),
            cannot: None,
            violations: Violations::default(),
            notices,
        }
    }

    pub(crate) fn allow(policy: Option<Policy<'a>>, job: Option<Job<'a>>, why: Allowed) -> Self {
        Decision::new(policy, job, Outcome::Allow(why))
    }

    /// The decision on a pod whose namespace cannot be looked up: a denial in
    /// any case, since the mode is not known either.
    pub fn unavailable(request: &Request<'a>, cause: &str) -> Decision<'a> {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let denial = Denial::namespace_unavailable(namespace, cause, &request.uid);
        let job = request.object.as_ref().and_then(Job::from_pod);
        Decision::new(None, job, Outcome::Deny(denial))
    }

    /// The namespace's mode; `enforce`, if it has none.
    pub fn mode(&self) -> Mode {
        self.policy
            .as_ref()
            .map_or(Mode::Enforce, |policy| policy.mode)
    }

    /// What podseal responds in the namespace's mode.
    pub fn answer(&self) -> Answer<'_> {
        match (&self.outcome, self.mode()) {
            (Outcome::Deny(denial), Mode::Enforce) => Answer::Deny(denial),
            (Outcome::Mutate(patch), Mode::Enforce | Mode::Warn) => Answer::Patch(patch),
            _ => Answer::Allow,
        }
    }

    /// The texts of all notices.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.notices.iter().map(|notice| notice.text.as_str())
    }

    /// The cautions that the creator of the pod sees.
    pub(crate) fn cautions_for_creator(&self) -> impl Iterator<Item = String> {
        let is_told = self.mode() != Mode::Audit;
        self.cautions().filter(move |_| is_told)
    }

    /// The cautions as warnings.
    fn cautions(&self) -> impl Iterator<Item = String> {
        let cautions = self.cautions.iter();
        cautions.map(|caution| shortened(caution.to_string()))
    }

    /// Whether a warning for the creator of the pod is a caution.
    pub fn is_caution(&self, warning: &str) -> bool {
        self.cautions().any(|caution| caution == warning)
    }

    /// The warnings for the creator of the pod. There are none with a denial,
    /// which is complete by itself, and none in mode `audit`, which changes
    /// nothing for creators.
    pub fn warnings_for_creator(&self) -> Vec<String> {
        let to_creator = |notice: &&Notice| notice.audience == Audience::Creator;
        let notices = self.notices.iter().filter(to_creator);
        let notices = notices.map(|notice| notice.text.clone());
        let notices = notices.chain(self.cautions());
        match (&self.outcome, self.mode()) {
            (Outcome::Deny(denial), Mode::Warn) => {
                notices.chain(warning(denial, &self.violations)).collect()
            }
            (Outcome::Deny(_), _) | (_, Mode::Audit) => Vec::new(),
            _ => notices.collect(),
        }
    }
}

impl Notice {
    /// A notice for the creator of the pod, too.
    pub(crate) fn to_creator(text: String) -> Notice {
        let audience = Audience::Creator;
        Notice { text, audience }
    }
}

/// The creator sees it too. Otherwise a mistyped annotation would only be seen by
/// jobs that fail as they do without podseal.
pub(crate) fn not_the_runner(policy: &Policy<'_>) -> String {
    let named = match policy.source_of_runner() {
        Source::Rule(rule) => format!("that the namespace rule {} names as runner", unquoted(rule)),
        _ => "in the namespace's annotation podseal.io/runner".to_owned(),
    };
    format!(
        "podseal did not change this pod: it has a job's labels, but its creator is not among the \
         users {named}"
    )
}

fn labels_trusted(policy: &Policy<'_>) -> String {
    let who = match policy.rule() {
        Some(rule) => format!("the namespace rule {} names no runner", unquoted(rule)),
        None => "the namespace has no annotation podseal.io/runner".to_owned(),
    };
    format!(
        "the profile grants more than the baseline to anyone who puts a job's labels on a pod: \
         {who}"
    )
}
