//! Whose pod it is, and which profile is applied to it: what both webhooks ask first.

use super::Allowed;
use super::denial::{Denial, Rejection};
use crate::gitlab::job::Job;
use crate::namespace::policy::{Policy, Settings, Source};
use crate::namespace::{Label, Namespace};
use crate::pod::Pod;
use crate::profile::overrides::Adjusted;
use crate::request::Request;
use crate::request::impossible::Impossible;

/// Why nothing holds for a namespace.
pub(crate) fn without_policy(namespace: &Namespace, settings: &Settings<'_>) -> Allowed {
    match settings.namespace_rules {
        rules if rules.leaves_alone(&namespace.name) => Allowed::LeftAlone,
        rules if rules.is_empty() => Allowed::NotOptedIn,
        _ => Allowed::NoRule,
    }
}

/// Why the pod of `request` cannot exist, and its denial. Both webhooks look for that
/// before they do anything whose cost grows with the pod.
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

/// Whose pod it is, as far as its creation tells.
pub(crate) enum Claim<'a> {
    /// No job's.
    None,
    /// It says a job's, and was created by nobody who runs jobs here.
    Unfounded,
    /// A job's.
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

/// What is applied to the jobs of the namespace; or why none can pass, whatever
/// it looks like.
pub(crate) fn applicable<'a>(
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
    let by_rule = matches!(policy.source_of_label(Label::Profile), Source::Rule(_));
    Adjusted::new(profile, policy.settings())
        .map(|adjusted| adjusted.by_rule(by_rule))
        .map_err(|wrong| Denial::setting(namespace, policy, wrong, uid))
}
