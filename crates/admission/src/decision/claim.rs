//! Whether a pod is a job's, and which profile applies to it: what both webhooks
//! decide first.

use super::Allowed;
use super::denial::Denial;
use super::rejection::Rejection;
use crate::gitlab::job::Job;
use crate::namespace::Namespace;
use crate::namespace::policy::{Policy, Settings};
use crate::pod::Pod;
use crate::profile::EffectiveProfile;
use crate::request::Request;
use crate::request::impossible::Impossible;

/// Why no policy applies to a namespace.
pub(crate) fn without_policy(namespace: &Namespace, settings: &Settings<'_>) -> Allowed {
    match settings.namespace_rules {
        rules if rules.leaves_alone(&namespace.name) => Allowed::LeftAlone,
        rules if rules.is_empty() => Allowed::NotOptedIn,
        _ => Allowed::NoRule,
    }
}

/// Why the pod of `request` cannot be created, and its denial. Both webhooks check
/// this before they do anything whose cost grows with the pod.
pub(crate) fn impossible(
    request: &Request<'_>,
    namespace: &Namespace,
    policy: &Policy<'_>,
) -> Option<(Impossible, Denial)> {
    let impossible = Impossible::of(request)?;
    let rejection = Rejection {
        namespace,
        policy,
        uid: &request.uid,
    };
    let denial = rejection.of_impossible(&impossible);
    Some((impossible, denial))
}

/// Whether a pod is a job's, by its labels and its creator.
pub(crate) enum Claim<'a> {
    /// It is not a job's.
    None,
    /// It has a job's labels, and its creator is not a runner of the namespace.
    Unfounded,
    /// It is a job's.
    Job(Job<'a>),
}

impl<'a> Claim<'a> {
    pub(crate) fn of(pod: &Pod<'a>, request: &Request<'a>, policy: &Policy<'a>) -> Claim<'a> {
        match Job::from_pod(pod) {
            None => Claim::None,
            Some(_) if !policy.is_runner(request.user()) => Claim::Unfounded,
            Some(job) => Claim::Job(job),
        }
    }
}

/// The profile that applies to the jobs of the namespace, with its settings; or why
/// every job is denied.
pub(crate) fn applicable<'a>(
    policy: &Policy<'a>,
    namespace: &Namespace,
    settings: &Settings<'_>,
    uid: &str,
) -> Result<EffectiveProfile<'a>, Denial> {
    let Some(effective) = policy.effective_profile() else {
        let known = settings.profiles;
        return Err(Denial::unknown_profile(namespace, policy, known, uid));
    };
    if settings.require_runner && policy.trusts_labels() {
        return Err(Denial::runner_unnamed(namespace, policy, uid));
    }
    effective.map_err(|wrong| Denial::setting(namespace, policy, wrong, uid))
}
