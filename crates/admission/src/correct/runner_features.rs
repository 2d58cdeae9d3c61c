//! What GitLab Runner's features need in job pods, and a profile may remove.
//!
//! Without it, the pod is valid and starts, and fails at its first step with an
//! unclear error. Read from GitLab Runner 19.4, `executors/kubernetes`:
//!
//! | feature | recognised by | needs |
//! |---|---|---|
//! | suspendable | the volume `gl-runner-overlay-init` | root with `SYS_ADMIN` in a user namespace, to mount an overlay and pivot into it |
//!
//! What may fail, but need not, is a caution (`crate::cautions`).

use super::refusal::Refusal;
use crate::pod::capability::same_capability;
use crate::pod::effective::effective;
use crate::pod::field::{Field, Scalar};
use crate::pod::place::{ContainerRef, List, Place};
use crate::pod::{Container, Pod};
use crate::profile::EffectiveProfile;
use crate::text::quoted;

/// The script that mounts the overlay, in each container that runs it.
const OVERLAY: &str = "gl-runner-overlay-init";
/// The capability that mounting requires.
const MOUNT: &str = "SYS_ADMIN";

/// Rejects a patched pod in which a feature of its runner cannot work.
///
/// Only where the profile has rules: the runner reports its own contradictions
/// before it creates the pod.
pub(crate) fn find(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> Result<(), Refusal> {
    for (place, container) in pod.containers() {
        let Place::Container(at) = place else {
            continue;
        };
        let (_, rules) = profile.rules(at.list, container);
        let has_rules = !rules.is_empty() || !profile.pod().is_empty();
        if at.list == List::Regular && has_rules && mounts_overlay(container) {
            can_mount(pod, at)?;
        }
    }
    Ok(())
}

/// Whether a suspendable environment's overlay is mounted in the container.
pub(crate) fn mounts_overlay(container: &Container<'_>) -> bool {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    mounts.iter().any(|mount| &*mount.name == OVERLAY)
}

fn can_mount(pod: &Pod<'_>, at: ContainerRef) -> Result<(), Refusal> {
    let place = Place::Container(at);
    let container = pod.container(at);
    let refuse = |field: &str, problem: String| {
        Err(Refusal {
            place: format!("{place} {}", quoted(&container.name)),
            field: format!("securityContext.{field}"),
            problem: format!(
                "{problem}, and a suspendable environment mounts its overlay as root with {MOUNT}"
            ),
            remedy: "set the job variable FF_SUSPENDABLE_ENVIRONMENTS to false, or ask a cluster \
                     administrator for a profile that runs such jobs as root, such as root-fuse at \
                     level privileged"
                .to_owned(),
        })
    };
    if let Some(Scalar::Int(user @ 1..)) = effective(pod, place, Field::RunAsUser) {
        return refuse("runAsUser", format!("{user} is not root"));
    }
    if effective(pod, place, Field::RunAsNonRoot) == Some(Scalar::Bool(true)) {
        return refuse("runAsNonRoot", "true forbids root".to_owned());
    }
    let context = container.security_context.as_ref();
    if context.and_then(|context| context.privileged) != Some(true) {
        let capabilities = context.and_then(|context| context.capabilities.as_ref());
        let lists = |names: Option<&[_]>| {
            let is_it = |name: &crate::text::Text<'_>| same_capability(name, MOUNT);
            names.unwrap_or_default().iter().any(is_it)
        };
        if !capabilities.is_some_and(|lists_of| lists(lists_of.add.as_deref())) {
            let problem = format!("{MOUNT} is removed by the profile or the level");
            return refuse("capabilities.add", problem);
        }
        if capabilities.is_some_and(|lists_of| lists(lists_of.drop.as_deref())) {
            return refuse("capabilities.drop", format!("{MOUNT} is dropped"));
        }
    }
    if pod.spec.host_users == Some(false) {
        return Ok(());
    }
    Err(Refusal {
        place: "pod".to_owned(),
        field: "hostUsers".to_owned(),
        problem: format!(
            "without hostUsers: false, which the runner sets for a suspendable environment, its \
             {MOUNT} would apply to the node itself"
        ),
        remedy: "ask a cluster administrator for a profile that leaves hostUsers as it is, or set \
                 the job variable FF_SUSPENDABLE_ENVIRONMENTS to false"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    /// A suspendable job's pod, with this `securityContext` on `build`.
    fn suspendable(host_users: bool, context: &str) -> String {
        format!(
            r#"{{"spec": {{"hostUsers": {host_users}, "containers": [{{"name": "build",
              "securityContext": {context},
              "volumeMounts": [{{"name": "gl-runner-overlay-init", "mountPath": "/x"}}]}}]}}}}"#
        )
    }

    fn profile(rules: &str) -> Profile {
        let yaml = format!("name: x\nsummary: y\n{rules}\n");
        Profile::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refusal(pod: &str, profile: &Profile) -> Option<Refusal> {
        let pod: Pod<'_> = serde_json::from_str(pod).expect("a pod");
        find(&pod, &EffectiveProfile::unchanged(profile)).err()
    }

    #[test]
    fn a_suspendable_environment_needs_root_its_capability_and_a_user_namespace() {
        let profile = profile("containers: {build: {home: true}}");
        let root = r#"{"runAsUser": 0, "capabilities": {"add": ["CAP_SYS_ADMIN"]}}"#;
        assert_eq!(refusal(&suspendable(false, root), &profile), None);
        for (host_users, context, field) in [
            (true, root, "hostUsers"),
            (false, r#"{"runAsUser": 7}"#, "securityContext.runAsUser"),
            (
                false,
                r#"{"runAsNonRoot": true}"#,
                "securityContext.runAsNonRoot",
            ),
            (false, "{}", "securityContext.capabilities.add"),
            (
                false,
                r#"{"capabilities": {"add": ["SYS_ADMIN"], "drop": ["sys_admin"]}}"#,
                "securityContext.capabilities.drop",
            ),
        ] {
            let refusal = refusal(&suspendable(host_users, context), &profile).expect(field);
            assert_eq!(refusal.field, field);
        }
        assert_eq!(
            refusal(&suspendable(false, r#"{"privileged": true}"#), &profile),
            None
        );
    }

    #[test]
    fn a_profile_without_rules_leaves_the_runners_own_contradictions_to_it() {
        let pod = suspendable(true, r#"{"runAsUser": 7}"#);
        assert_eq!(refusal(&pod, &profile("")), None);
    }
}
