//! The decision, and how the two webhooks come to it.
//!
//! [`correct`] is what `/mutate` answers, [`judge`](super::judge::judge) what
//! `/validate` does. Both say what the policy says; [`Decision::answer`] is what
//! leaves podseal, which in the modes `warn` and `audit` is milder.

use std::borrow::Cow;

use json_patch::Patch;

use super::adjusted::Adjusted;
use super::change::Change;
use super::conflict;
use super::grants::Violations;
use super::impossible::Impossible;
use super::job::Job;
use super::message::{Denial, Rejection, warning};
use super::plan;
use super::pod::{Container, Pod};
use super::policy::{Mode, Namespace, PROFILE, Policy, Settings, Source};
use super::request::{Act, Request};
use super::shape;
use super::text::word;

/// The bytes of memory that correcting the pod of `request` takes at most, beside
/// what reading it does: of each container what the profile changes, and its lists
/// of capabilities, which are patched as a whole.
pub fn correction_size(request: &Request<'_>, settings: &Settings<'_>) -> usize {
    let Some(pod) = &request.object else {
        return 0;
    };
    let of_container = |container: &Container<'_>| {
        let context = container.security_context.as_ref();
        let capabilities = context.and_then(|context| context.capabilities.as_ref());
        let lists = capabilities.map(|lists| [&lists.add, &lists.drop]);
        let names = lists.into_iter().flatten().flatten().flatten();
        let names = names.map(|name| CAPABILITY + COPIES * name.len());
        names.sum::<usize>() + settings.profiles.correction()
    };
    // Of a pod with more containers none is corrected.
    let containers = pod.containers().take(conflict::CONTAINERS);
    containers
        .map(|(_, container)| of_container(container))
        .sum()
}

/// What a capability takes in the patch of its list, and how often its name is
/// there: as JSON, as base64, and within the answer.
const CAPABILITY: usize = 256;
const COPIES: usize = 10;

/// What podseal says to a request, and everything a record of it needs.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// What the namespace asks for, if it opts in.
    pub policy: Option<Policy<'a>>,
    /// The job the pod runs, if it is a job pod.
    pub job: Option<Job<'a>>,
    /// What the policy says.
    pub outcome: Outcome,
    /// What the correction changes; in mode `audit`, what it would change.
    pub changes: Vec<Change<'a>>,
    /// What the pod violates of the namespace's level.
    pub violations: Violations,
    /// What is wrong with the namespace's labels, or weak; and the cautions.
    pub warnings: Vec<String>,
    /// What may fail in the corrected pod, by the kind of its runner.
    pub(super) cautions: Vec<String>,
}

/// What the policy says.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The pod may pass as it is.
    Allow(Allowed),
    /// The pod may pass with this patch.
    Mutate(Patch),
    /// The pod may not pass.
    Deny(Denial),
}

/// Why a pod may pass as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// The request neither creates nor changes a pod.
    NotAPod,
    /// The namespace has no profile label, and there are no default rules.
    NotOptedIn,
    /// The namespace has no profile label, and none of the default rules is for it.
    NoRule,
    /// The namespace is the cluster's own, or podseal's.
    LeftAlone,
    /// The pod runs no job.
    NotAJob,
    /// The pod has a job's labels and was created by somebody else than those
    /// that the namespace names as runners.
    NotTheRunner,
    /// The job runs on Windows, where Podman's needs mean nothing.
    Windows,
    /// The API server refuses the pod by itself, and says why.
    RefusedByKubernetes,
    /// The pod is what its profile says already.
    AlreadyRight,
    /// The pod meets the namespace's level, with what its profile grants.
    Complies,
    /// So does this one, which another version of its profile corrected.
    OtherVersion,
    /// The change adds no violation.
    NothingNew,
}

impl Allowed {
    /// The reason as a clause, where `policy` holds.
    pub fn reason(self, policy: Option<&Policy<'_>>) -> Cow<'static, str> {
        match policy.map(Policy::source_of_runner) {
            Some(Source::Rule(rule)) if self == Allowed::NotTheRunner => Cow::Owned(format!(
                "the pod has a job's labels, but its creator is not the runner of default rule {}",
                word(rule)
            )),
            _ => Cow::Borrowed(self.clause()),
        }
    }

    fn clause(self) -> &'static str {
        match self {
            Allowed::NotAPod => "the request neither creates nor changes a pod",
            Allowed::NotOptedIn => "the namespace has no label podseal.io/profile",
            Allowed::NoRule => {
                "the namespace has no label podseal.io/profile, and no default rule is for it"
            }
            Allowed::LeftAlone => {
                "the namespace is the cluster's own or podseal's, which podseal leaves alone \
                 whatever its labels"
            }
            Allowed::NotAJob => "the pod is not a GitLab job's",
            Allowed::NotTheRunner => {
                "the pod has a job's labels, but its creator is not in podseal.io/runner"
            }
            Allowed::Windows => "the job runs on Windows, which no profile is for",
            Allowed::RefusedByKubernetes => {
                "Kubernetes refuses this pod by itself, for its annotations or a container's name"
            }
            Allowed::AlreadyRight => "the pod is already as the profile says",
            Allowed::Complies => "the pod meets the namespace's level",
            Allowed::OtherVersion => {
                "the pod meets the namespace's level, and another version of its profile \
                 corrected it"
            }
            Allowed::NothingNew => "the change adds no violation of the namespace's level",
        }
    }
}

/// What leaves podseal.
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
    /// The outcome in a word, for records.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Allow(_) => "allow",
            Outcome::Mutate(_) => "mutate",
            Outcome::Deny(_) => "deny",
        }
    }
}

impl<'a> Decision<'a> {
    pub(super) fn new(policy: Option<Policy<'a>>, job: Option<Job<'a>>, outcome: Outcome) -> Self {
        let warnings = policy.as_ref().map(|policy| policy.warnings.clone());
        let mut warnings = warnings.unwrap_or_default();
        let policy_of_job = policy.as_ref().filter(|_| job.is_some());
        if let Some(policy) = policy_of_job.filter(|policy| policy.trusts_labels()) {
            warnings.push(labels_trusted(policy));
        }
        Decision {
            policy,
            job,
            outcome,
            changes: Vec::new(),
            violations: Violations::default(),
            warnings,
            cautions: Vec::new(),
        }
    }

    pub(super) fn allow(policy: Option<Policy<'a>>, job: Option<Job<'a>>, why: Allowed) -> Self {
        Decision::new(policy, job, Outcome::Allow(why))
    }

    /// The decision on a pod whose namespace nobody could tell us about. It
    /// leaves podseal as a denial whatever the mode, which is not known either.
    pub fn unavailable(request: &Request<'a>, cause: &str) -> Decision<'a> {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let denial = Denial::namespace_unavailable(namespace, cause, &request.uid);
        let job = request.object.as_ref().and_then(Job::from_pod);
        Decision::new(None, job, Outcome::Deny(denial))
    }

    /// The namespace's mode; `enforce`, where there is none.
    pub fn mode(&self) -> Mode {
        self.policy
            .as_ref()
            .map_or(Mode::Enforce, |policy| policy.mode)
    }

    /// What leaves podseal, in the namespace's mode.
    pub fn answer(&self) -> Answer<'_> {
        match (&self.outcome, self.mode()) {
            (Outcome::Deny(denial), Mode::Enforce) => Answer::Deny(denial),
            (Outcome::Mutate(patch), Mode::Enforce | Mode::Warn) => Answer::Patch(patch),
            _ => Answer::Allow,
        }
    }

    /// What the creator of the pod is warned of: nothing beside a denial, which
    /// says it all, and nothing in mode `audit`, which nobody is to notice.
    pub fn told(&self) -> Vec<String> {
        match (&self.outcome, self.mode()) {
            (Outcome::Deny(denial), Mode::Warn) => {
                let mut told: Vec<_> = self
                    .policy
                    .iter()
                    .flat_map(|p| &p.warnings)
                    .cloned()
                    .collect();
                told.extend(warning(denial, &self.violations));
                told
            }
            (Outcome::Deny(_), _) | (_, Mode::Audit) => Vec::new(),
            (outcome, _) => {
                let of_policy = self.policy.iter().flat_map(|p| &p.warnings).cloned();
                let is_passed_over = *outcome == Outcome::Allow(Allowed::NotTheRunner);
                let policy = self.policy.as_ref().filter(|_| is_passed_over);
                of_policy
                    .chain(policy.map(passed_over))
                    .chain(self.cautions.iter().cloned())
                    .collect()
            }
        }
    }
}

/// Told to the creator, too: of a mistyped annotation nothing else is seen but
/// jobs that fail as if there were no podseal.
fn passed_over(policy: &Policy<'_>) -> String {
    let named = match policy.source_of_runner() {
        Source::Rule(rule) => format!("whom the default rule {} names as runner", word(rule)),
        _ => "in the namespace's annotation podseal.io/runner".to_owned(),
    };
    format!(
        "podseal left this pod as it is: it has a job's labels, but its creator is not among the \
         users {named}"
    )
}

fn labels_trusted(policy: &Policy<'_>) -> String {
    let who = match policy.rule() {
        Some(rule) => format!("the default rule {} names no runner", word(rule)),
        None => "the namespace has no annotation podseal.io/runner".to_owned(),
    };
    format!(
        "the profile grants more than the baseline to whoever puts a job's labels on a pod: {who}"
    )
}

/// Decides how the pod that `request` creates is corrected.
///
/// Pure: the same arguments give the same decision, and the request with its
/// patch applied gives [`Allowed::AlreadyRight`].
pub fn correct<'a>(
    mut request: Request<'a>,
    namespace: &'a Namespace,
    settings: &Settings<'a>,
) -> Decision<'a> {
    let act = request.act();
    let policy = Policy::from_namespace(namespace, settings);
    let is_pod = request.object.is_some() || request.excess.is_some();
    let (Act::Create, true) = (act, is_pod) else {
        return Decision::allow(policy, None, Allowed::NotAPod);
    };
    let Some(policy) = policy else {
        let job = request.object.as_ref().and_then(Job::from_pod);
        return Decision::allow(None, job, without_policy(namespace, settings));
    };
    // Before anything whose cost grows with the pod.
    if let Some(impossible) = Impossible::of(&request) {
        if impossible.is_refused_by_kubernetes() {
            return Decision::allow(Some(policy), None, Allowed::RefusedByKubernetes);
        }
        let rejection = Rejection {
            namespace,
            policy: &policy,
            uid: &request.uid,
        };
        let denial = rejection.of_impossible(&impossible);
        return Decision::new(Some(policy), None, Outcome::Deny(denial));
    }
    let Some(mut pod) = request.object.take() else {
        return Decision::allow(Some(policy), None, Allowed::NotAPod);
    };
    match Claim::of(&pod, &request, &policy) {
        Claim::None => Decision::allow(Some(policy), None, Allowed::NotAJob),
        Claim::Unfounded => {
            let told = passed_over(&policy);
            let mut decision = Decision::allow(Some(policy), None, Allowed::NotTheRunner);
            decision.warnings.push(told);
            decision
        }
        Claim::Job(job) => {
            let applicable = applicable(&policy, namespace, settings, &request.uid);
            let adjusted = match applicable {
                Ok(adjusted) => adjusted,
                Err(denial) => {
                    return Decision::new(Some(policy), Some(job), Outcome::Deny(denial));
                }
            };
            if pod.is_windows() {
                return Decision::allow(Some(policy), Some(job), Allowed::Windows);
            }
            match plan::correct(&mut pod, &adjusted, policy.level) {
                Err(refusal) => {
                    let denial = refusal.into_denial(namespace, &policy, &request.uid);
                    Decision::new(Some(policy), Some(job), Outcome::Deny(denial))
                }
                Ok((changes, patch)) => {
                    let outcome = match changes.is_empty() {
                        true => Outcome::Allow(Allowed::AlreadyRight),
                        false => Outcome::Mutate(Patch(patch)),
                    };
                    let cautions = shape::cautions(&pod, adjusted.profile);
                    let mut decision = Decision::new(Some(policy), Some(job), outcome);
                    decision.warnings.extend_from_slice(&cautions);
                    Decision {
                        changes,
                        cautions,
                        ..decision
                    }
                }
            }
        }
    }
}

/// Why nothing holds for a namespace.
pub(super) fn without_policy(namespace: &Namespace, settings: &Settings<'_>) -> Allowed {
    match settings.defaults {
        defaults if defaults.leaves_alone(&namespace.name) => Allowed::LeftAlone,
        defaults if defaults.is_empty() => Allowed::NotOptedIn,
        _ => Allowed::NoRule,
    }
}

/// Whose pod it is, as far as its creation tells.
pub(super) enum Claim<'a> {
    /// No job's.
    None,
    /// It says a job's, and was created by nobody who runs jobs here.
    Unfounded,
    /// A job's.
    Job(Job<'a>),
}

impl<'a> Claim<'a> {
    pub(super) fn of(pod: &Pod<'a>, request: &Request<'a>, policy: &Policy<'a>) -> Claim<'a> {
        match Job::from_pod(pod) {
            None => Claim::None,
            Some(_) if !policy.is_runner(request.user()) => Claim::Unfounded,
            Some(job) => Claim::Job(job),
        }
    }
}

/// What is applied to the jobs of the namespace; or why none can pass, whatever
/// it looks like.
pub(super) fn applicable<'a>(
    policy: &Policy<'a>,
    namespace: &Namespace,
    settings: &Settings<'_>,
    uid: &str,
) -> Result<Adjusted<'a>, Denial> {
    let Some(profile) = policy.profile else {
        let known = settings.profiles;
        return Err(Denial::unknown_profile(namespace, policy, known, uid));
    };
    if settings.require_runner && policy.trusts_labels() {
        return Err(Denial::runner_unnamed(namespace, policy, uid));
    }
    let by_rule = matches!(policy.source_of_label(PROFILE), Source::Rule(_));
    Adjusted::new(profile, policy.settings())
        .map(|adjusted| adjusted.by_rule(by_rule))
        .map_err(|wrong| Denial::setting(namespace, policy, wrong, uid))
}
