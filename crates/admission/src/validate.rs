//! The webhook `/validate`: whether a pod is allowed as it would be stored.
//!
//! The API server calls it after all mutations, so it sees what other webhooks
//! changed. It validates every pod of an opted-in namespace: a job's pod with what
//! its profile grants, and every other pod without.

use std::collections::HashMap;

use crate::cautions::cautions;
use crate::correct::{marker, missing_limits, steps};
use crate::decision::claim::{Claim, applicable, impossible, without_policy};
use crate::decision::denial::Denial;
use crate::decision::rejection::{NewImage, Rejection};
use crate::decision::{Allowed, Decision, Outcome};
use crate::namespace::policy::{Policy, Settings};
use crate::namespace::{Mode, Namespace};
use crate::pod::place::{ContainerRef, List, Place};
use crate::pod::{Container, Pod};
use crate::profile::grants::Violations;
use crate::request::{Act, Request};
use crate::standards::for_each_new_violation;
use crate::text::beginning;

/// Decides whether the pod that `request` creates or updates is allowed.
pub fn validate<'a>(
    mut request: Request<'a>,
    namespace: &'a Namespace,
    settings: &Settings<'a>,
) -> Decision<'a> {
    let act = request.act();
    let policy = Policy::from_namespace(namespace, settings);
    let is_pod = request.object.is_some() || request.excess.is_some();
    let (true, Act::Create | Act::Update) = (is_pod, act) else {
        return Decision::allow(policy, None, Allowed::NotAPod);
    };
    let Some(policy) = policy else {
        return Decision::allow(None, None, without_policy(namespace, settings));
    };
    if let Some((_, denial)) = impossible(&request, namespace, &policy) {
        return Decision::new(Some(policy), None, Outcome::Deny(denial));
    }
    let Some(mut pod) = request.object.take() else {
        return Decision::allow(Some(policy), None, Allowed::NotAPod);
    };
    match act {
        Act::Create => validate_creation(pod, &request, policy, namespace, settings),
        _ => {
            if settings.ignore_user_namespaces {
                for pod in request.old_object.iter_mut().chain([&mut pod]) {
                    ignore_user_namespace(pod);
                }
            }
            validate_update(&pod, &request, policy, namespace)
        }
    }
}

fn validate_creation<'a>(
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
    let (job, profile) = match Claim::of(&pod, request, &policy) {
        Claim::None | Claim::Unfounded => (None, None),
        Claim::Job(job) => match applicable(&policy, namespace, settings, &request.uid) {
            Ok(profile) => (Some(job), Some(profile)),
            Err(denial) => {
                return Decision::new(Some(policy), Some(job), Outcome::Deny(denial));
            }
        },
    };
    let profile = profile.filter(|_| !pod.is_windows());
    // In mode audit podseal did not correct the pod, so a mark is the author's
    // own.
    let by_another = profile.filter(|profile| {
        policy.mode != Mode::Audit && marker::is_of_another(&pod, profile, policy.level)
    });
    if let (Some(profile), None) = (&profile, by_another) {
        match steps::correct(&mut pod, profile, policy.level) {
            Err(refusal) => {
                let denial = refusal.into_denial(namespace, &policy, &request.uid);
                return Decision::new(Some(policy), job, Outcome::Deny(denial));
            }
            // In mode audit podseal did not correct the pod, and these
            // changes are what it would have done before this
            // validation.
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
    // If the mark is forged, the pod may lack the limits that come with a
    // grant.
    let lacking = match &by_another {
        Some(profile) => missing_limits::lacking(&pod, profile, policy.level),
        None => Ok(Vec::new()),
    };
    let is_complete = lacking.as_ref().is_ok_and(Vec::is_empty);
    let granting = profile.filter(|_| is_complete);
    let is_ignored = settings.ignore_user_namespaces && ignore_user_namespace(&mut pod);
    let violations = Violations {
        user_namespace_ignored: is_ignored,
        ..Violations::of(&pod, policy.level, granting.as_ref())
    };
    // Another webhook may have changed the pod since it was corrected.
    let cautions = profile.map_or_else(Vec::new, |profile| cautions(&pod, &profile));
    let outcome = match (violations.is_empty(), lacking) {
        (true, _) if policy.strict && !cautions.is_empty() => {
            Outcome::Deny(Denial::strict(namespace, &policy, &cautions, &request.uid))
        }
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
        cautions,
        violations,
        ..Decision::new(Some(policy), job, outcome)
    }
}

/// Removes the pod's own user namespace, and returns whether it requested one.
fn ignore_user_namespace(pod: &mut Pod<'_>) -> bool {
    pod.spec.host_users.take() == Some(false)
}

/// Updates come from controllers and administrators, so their user does not
/// identify a job, and grants are not evaluated: existing violations may stay, and
/// new ones are denied.
///
/// The containers of a pod share more than the Standards cover: volumes, a user,
/// often processes. So no new image and no new container is allowed in a pod that
/// violates its level, whichever container violates it. Otherwise a user who may
/// patch pods, but not exec into them, could reach the privileged container through
/// another one that runs their image.
fn validate_update<'a>(
    pod: &Pod<'a>,
    request: &Request<'a>,
    policy: Policy<'a>,
    namespace: &'a Namespace,
) -> Decision<'a> {
    let none = Pod::default();
    let old = request.old_object.as_ref().unwrap_or(&none);
    let rejection = Rejection {
        namespace,
        policy: &policy,
        uid: &request.uid,
    };
    let mut violations = Violations::default();
    for_each_new_violation(old, pod, policy.level, |violation| {
        violations.add(&violation);
    });
    let mut outcome = Outcome::Allow(Allowed::NothingNew);
    if !violations.is_empty() {
        outcome = Outcome::Deny(rejection.of_violations(&violations, false));
    } else if let Some(new) = NewImage::find(old, pod) {
        violations = Violations::of(pod, policy.level, None);
        if !violations.is_empty() {
            outcome = Outcome::Deny(rejection.of_new_image(&new, &violations));
        }
    }
    Decision {
        violations,
        ..Decision::new(Some(policy), None, outcome)
    }
}

impl NewImage {
    /// The first of them in an update of `old` to `new`.
    fn find(old: &Pod<'_>, new: &Pod<'_>) -> Option<NewImage> {
        let mut before = HashMap::with_capacity(old.all_containers().count());
        for (place, container) in old.all_containers() {
            before.insert((list_of(place), &*container.name), &container.image);
        }
        let is_new = |(place, container): &(Place, &Container<'_>)| {
            let image = before.get(&(list_of(*place), &*container.name));
            image.is_none_or(|image| **image != container.image)
        };
        let (place, container) = new.all_containers().find(is_new)?;
        Some(NewImage {
            place,
            container: beginning(&container.name).to_owned(),
        })
    }
}

/// The list without the index, which an update may change.
fn list_of(place: Place) -> Option<List> {
    match place {
        Place::Pod => None,
        Place::Container(ContainerRef { list, .. }) => Some(list),
    }
}
