//! The judgement: whether a pod may be, as it is in the end.
//!
//! The API server asks after every mutation, so nothing that another webhook
//! did later goes unseen. What is judged is every pod of an opted-in namespace;
//! a job's pod with what its profile grants, and everything else without.

use std::collections::HashSet;

use super::grants::Violations;
use super::message::Rejection;
use super::narrowing;
use super::plan;
use super::pod::{Container, List, Place, Pod};
use super::pod_security::{Level, Violation, for_each_violation};
use super::policy::{Mode, Namespace, Policy, Settings};
use super::request::{Act, Request};
use super::review::{Allowed, Claim, Decision, Outcome, applicable, without_policy};
use super::stamp;

/// Decides whether what `request` makes of a pod may be.
pub fn judge<'a>(
    mut request: Request<'a>,
    namespace: &'a Namespace,
    settings: &Settings<'a>,
) -> Decision<'a> {
    let act = request.act();
    let policy = Policy::from_namespace(namespace, settings);
    let (Some(mut pod), Act::Create | Act::Update) = (request.object.take(), act) else {
        return Decision::allow(policy, None, Allowed::NotAPod);
    };
    let Some(policy) = policy else {
        return Decision::allow(None, None, without_policy(namespace, settings));
    };
    match act {
        Act::Create => judge_creation(pod, &request, policy, namespace, settings),
        _ => {
            if settings.ignore_user_namespaces {
                for pod in request.old_object.iter_mut().chain([&mut pod]) {
                    ignore_user_namespace(pod);
                }
            }
            judge_update(&pod, &request, policy, namespace)
        }
    }
}

fn judge_creation<'a>(
    mut pod: Pod<'a>,
    request: &Request<'a>,
    policy: Policy<'a>,
    namespace: &'a Namespace,
    settings: &Settings<'a>,
) -> Decision<'a> {
    let rejection = Rejection {
        namespace,
        policy: &policy,
        uid: &request.uid,
    };
    let mut changes = Vec::new();
    let (job, adjusted) = match Claim::of(&pod, request, &policy) {
        Claim::None | Claim::Unfounded => (None, None),
        Claim::Job(job) => match applicable(&policy, namespace, settings, &request.uid) {
            Ok(adjusted) => (Some(job), Some(adjusted)),
            Err(denial) => {
                return Decision::new(Some(policy), Some(job), Outcome::Deny(denial));
            }
        },
    };
    let adjusted = adjusted.filter(|_| !pod.is_windows());
    let profile = adjusted.map(|adjusted| adjusted.profile);
    // In mode audit nobody corrected it, and a mark is its author's.
    let by_another = adjusted.filter(|adjusted| {
        policy.mode != Mode::Audit && stamp::is_of_another(&pod, adjusted, policy.level)
    });
    if let (Some(adjusted), None) = (&adjusted, by_another) {
        match plan::correct(&mut pod, adjusted, policy.level) {
            Err(refusal) => {
                let denial = refusal.into_denial(namespace, &policy, &request.uid);
                return Decision::new(Some(policy), job, Outcome::Deny(denial));
            }
            // In mode audit nobody corrected the pod, and the correction is
            // what would have happened before this judgement.
            Ok((undone, _)) if policy.mode == Mode::Audit => changes = undone,
            Ok((undone, _)) if undone.is_empty() => {}
            Ok((undone, _)) => {
                let denial = rejection.of_undone(&undone);
                let decision = Decision::new(Some(policy), job, Outcome::Deny(denial));
                return Decision {
                    changes: undone,
                    ..decision
                };
            }
        }
    }
    // Who wrote the mark may have left out the limits that come with a grant.
    let lacking = match &by_another {
        Some(adjusted) => narrowing::lacking(&pod, adjusted, policy.level),
        None => Ok(Vec::new()),
    };
    let is_complete = lacking.as_ref().is_ok_and(Vec::is_empty);
    let granting = profile.filter(|_| is_complete);
    let is_ignored = settings.ignore_user_namespaces && ignore_user_namespace(&mut pod);
    let violations = Violations {
        user_namespace_ignored: is_ignored,
        ..Violations::of(&pod, policy.level, granting)
    };
    let outcome = match (violations.is_empty(), lacking) {
        (true, _) if by_another.is_some() => Outcome::Allow(Allowed::OtherVersion),
        (true, _) => Outcome::Allow(Allowed::Complies),
        (false, Ok(lacking)) if lacking.is_empty() => {
            Outcome::Deny(rejection.of_violations(&violations, profile.is_some()))
        }
        (false, Ok(lacking)) => Outcome::Deny(rejection.of_ungranted(&violations, &lacking)),
        (false, Err(refusal)) => {
            Outcome::Deny(refusal.into_denial(namespace, &policy, &request.uid))
        }
    };
    Decision {
        changes,
        violations,
        ..Decision::new(Some(policy), job, outcome)
    }
}

/// Has `pod` judged as one without a user namespace of its own, and says whether
/// it asks for one.
fn ignore_user_namespace(pod: &mut Pod<'_>) -> bool {
    pod.spec.host_users.take() == Some(false)
}

/// An update is a controller's or an administrator's, so who asks says nothing
/// about the job, and grants are not evaluated: what was there may stay, and
/// what is new may not violate.
fn judge_update<'a>(
    pod: &Pod<'a>,
    request: &Request<'a>,
    policy: Policy<'a>,
    namespace: &'a Namespace,
) -> Decision<'a> {
    let none = Pod::default();
    let old = request.old_object.as_ref().unwrap_or(&none);
    let before = violations_of(old, policy.level);
    let swapped = swapped_images(old, pod);
    // What the pod itself violates, all its containers share.
    let is_swapped = |violation: &Violation<'_>| match violation.place {
        Place::Pod => !swapped.is_empty(),
        Place::Container(..) => swapped.contains(&key_of(violation)),
    };
    let mut violations = Violations::default();
    for_each_violation(
        pod,
        |_, _| policy.level,
        |violation| {
            if is_swapped(&violation) || !before.contains(&Seen::of(&violation)) {
                violations.add(violation);
            }
        },
    );
    let outcome = match violations.is_empty() {
        true => Outcome::Allow(Allowed::NothingNew),
        false => {
            let rejection = Rejection {
                namespace,
                policy: &policy,
                uid: &request.uid,
            };
            Outcome::Deny(rejection.of_violations(&violations, false))
        }
    };
    Decision {
        violations,
        ..Decision::new(Some(policy), None, outcome)
    }
}

/// A violation as one recognises it in another state of the same pod: by the
/// container's name, since an index may move.
#[derive(PartialEq, Eq, Hash)]
struct Seen {
    control: u8,
    container: (u8, String),
    field: String,
    value: String,
}

impl Seen {
    fn of(violation: &Violation<'_>) -> Seen {
        Seen {
            control: violation.control as u8,
            container: key_of(violation),
            field: violation.field.to_string(),
            value: violation.value.to_string(),
        }
    }
}

fn violations_of(pod: &Pod<'_>, level: Level) -> HashSet<Seen> {
    let mut seen = HashSet::new();
    for_each_violation(
        pod,
        |_, _| level,
        |violation| {
            seen.insert(Seen::of(&violation));
        },
    );
    seen
}

fn key_of(violation: &Violation<'_>) -> (u8, String) {
    key(violation.place, &violation.container)
}

fn key(place: Place, name: &str) -> (u8, String) {
    let list = match place {
        Place::Pod => 0,
        Place::Container(List::Init, _) => 1,
        Place::Container(List::Regular, _) => 2,
        Place::Container(List::Ephemeral, _) => 3,
    };
    (list, name.to_owned())
}

/// The containers whose image differs, new ones among them: whoever may patch a
/// pod could put another image into a container that may do more than others,
/// and the kubelet would restart it.
fn swapped_images(old: &Pod<'_>, new: &Pod<'_>) -> HashSet<(u8, String)> {
    let image = |container: &Container<'_>| container.image.as_deref().map(str::to_owned);
    let before: HashSet<_> = old
        .all_containers()
        .map(|(place, container)| (key(place, &container.name), image(container)))
        .collect();
    new.all_containers()
        .map(|(place, container)| (key(place, &container.name), image(container)))
        .filter(|container| !before.contains(container))
        .map(|(key, _)| key)
        .collect()
}
