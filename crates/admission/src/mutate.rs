//! The webhook `/mutate`: corrects a job's pod when it is created.

use json_patch::Patch;

use crate::cautions::{cannot, cautions};
use crate::correct::{conflicts, steps};
use crate::decision::claim::{Claim, applicable, impossible, without_policy};
use crate::decision::denial::Denial;
use crate::decision::{Allowed, Decision, Notice, Outcome, not_the_runner};
use crate::gitlab::job::Job;
use crate::namespace::policy::{Policy, Settings};
use crate::namespace::{Mode, Namespace};
use crate::pod::Container;
use crate::request::{Act, Request};

/// The most memory, in bytes, that correcting the pod of `request` takes in
/// addition to reading it: for each container, what the profile changes, and the
/// container's lists of capabilities, which are patched as a whole.
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
    // A pod with more containers is not corrected.
    let containers = pod.containers().take(conflicts::CONTAINERS);
    containers
        .map(|(_, container)| of_container(container))
        .sum()
}

/// The bytes that a capability takes in the patch of its list, and the number of
/// copies of its name: as JSON, as base64, and within the answer.
const CAPABILITY: usize = 256;
const COPIES: usize = 10;

/// Decides how the pod that `request` creates is corrected.
///
/// Pure: the same arguments result in the same decision, and the request with its
/// patch applied results in [`Allowed::AlreadyRight`].
pub fn mutate<'a>(
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
    if let Some((impossible, denial)) = impossible(&request, namespace, &policy) {
        let outcome = match impossible.is_refused_by_kubernetes() {
            true => Outcome::Allow(Allowed::RefusedByKubernetes),
            false => Outcome::Deny(denial),
        };
        return Decision::new(Some(policy), None, outcome);
    }
    let Some(mut pod) = request.object.take() else {
        return Decision::allow(Some(policy), None, Allowed::NotAPod);
    };
    match Claim::of(&pod, &request, &policy) {
        Claim::None => Decision::allow(Some(policy), None, Allowed::NotAJob),
        Claim::Unfounded => {
            let notice = Notice::to_creator(not_the_runner(&policy));
            let mut decision = Decision::allow(Some(policy), None, Allowed::NotTheRunner);
            decision.notices.push(notice);
            decision
        }
        Claim::Job(job) => {
            let applicable = applicable(&policy, namespace, settings, &request.uid);
            let profile = match applicable {
                Ok(profile) => profile,
                Err(denial) => {
                    return Decision::new(Some(policy), Some(job), Outcome::Deny(denial));
                }
            };
            if pod.is_windows() {
                return Decision::allow(Some(policy), Some(job), Allowed::Windows);
            }
            match steps::correct(&mut pod, &profile, policy.level) {
                Err(refusal) => {
                    let denial = refusal.into_denial(namespace, &policy, &request.uid);
                    Decision::new(Some(policy), Some(job), Outcome::Deny(denial))
                }
                Ok((changes, patch)) => {
                    let cautions = cautions(&pod, &profile);
                    let cannot = cannot(&pod, &profile);
                    let outcome = match changes.is_empty() {
                        _ if policy.strict
                            && policy.mode == Mode::Enforce
                            && !cautions.is_empty() =>
                        {
                            let uid = &request.uid;
                            Outcome::Deny(Denial::strict(namespace, &policy, &cautions, uid))
                        }
                        true => Outcome::Allow(Allowed::AlreadyRight),
                        false => Outcome::Mutate(Patch(patch)),
                    };
                    Decision {
                        changes,
                        cautions,
                        cannot,
                        ..Decision::new(Some(policy), Some(job), outcome)
                    }
                }
            }
        }
    }
}
