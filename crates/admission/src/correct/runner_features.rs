//! What GitLab Runner's features need in job pods, and a profile may remove.
//!
//! Without it, the pod is valid and starts, and fails at its first step with an
//! unclear error. Read from GitLab Runner 19.4, `executors/kubernetes`:
//!
//! | feature | recognised by | needs |
//! |---|---|---|
//! | suspendable | the volume `gl-runner-overlay-init` | root with `SYS_ADMIN` in a user namespace, to mount an overlay and pivot into it |
//! | umask disabled | the init container `init-build-uid-gid-collector` | a `helper` that may change the group of files to that of `build` |
//! | native steps | no `helper` | HOME in `build`, which clones there |

use super::home;
use super::refusal::Refusal;
use crate::gitlab::role::{BUILD, HELPER, Role, UID_COLLECTOR};
use crate::pod::capability::same_capability;
use crate::pod::effective::effective;
use crate::pod::field::{Field, Scalar};
use crate::pod::place::{ContainerRef, List, Place};
use crate::pod::{Container, Pod, VolumeMount};
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
        let role = Role::of(at.list, &container.name);
        let has_rules = !profile.role(role).is_empty() || !profile.pod().is_empty();
        if at.list == List::Regular && has_rules && mounts_overlay(container) {
            can_mount(pod, at)?;
        }
    }
    Ok(())
}

/// Whether a suspendable environment's overlay is mounted in the container.
fn mounts_overlay(container: &Container<'_>) -> bool {
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

const UMASK: &str = "FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR makes helper change the owner of the job's \
    files to build's, which fails unless helper is root or in build's group; turn the flag off, \
    or set run_as_user = 0 in helper_container_security_context";

const NO_HELPER: &str = "this pod has no helper (native steps), so build clones, and the profile \
    sets HOME only for helper; a user without an entry in the image's passwd then has HOME=/, \
    where git fails; set home: true for build in the profile";

const HIDDEN_HOME: &str = "the overlay of a suspendable environment hides the volume at HOME, so \
    Podman's images are in the overlay, where a second overlay fails; set the job variable HOME to \
    a path in the builds directory";

/// What may fail in the patched pod, and what to do; each of a length that the API
/// server does not truncate.
pub(crate) fn warnings(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> Vec<String> {
    let found = [
        (changes_owner_to_foreign_group(pod, profile), UMASK),
        (lacks_helper(pod, profile), NO_HELPER),
        (hides_home(pod), HIDDEN_HOME),
    ];
    let found = found.into_iter().filter(|(is_so, _)| *is_so);
    found.map(|(_, warning)| warning.to_owned()).collect()
}

fn regular(pod: &Pod<'_>, name: &str) -> Option<usize> {
    let mut containers = pod.spec.containers.iter();
    containers.position(|container| &*container.name == name)
}

/// Whether `helper` has to change the owner of files to a group that it is not in,
/// and the profile has rules for `helper`. If no group is set for `build`, it is
/// the image's.
fn changes_owner_to_foreign_group(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> bool {
    let mut inits = pod.spec.init_containers.iter();
    let collects = inits.any(|container| &*container.name == UID_COLLECTOR);
    let (Some(build), Some(helper)) = (regular(pod, BUILD), regular(pod, HELPER)) else {
        return false;
    };
    let at = |index| {
        Place::Container(ContainerRef {
            list: List::Regular,
            index,
        })
    };
    let is_non_root = matches!(
        effective(pod, at(helper), Field::RunAsUser),
        Some(Scalar::Int(1..))
    );
    if !collects || !is_non_root || profile.role(Role::Helper).is_empty() {
        return false;
    }
    let group = |index| effective(pod, at(index), Field::RunAsGroup).and_then(|group| group.int());
    let Some(wanted) = group(build) else {
        return true;
    };
    let context = pod.spec.security_context.as_ref();
    let fs_group = context.and_then(|context| context.fs_group);
    let more = context.and_then(|context| context.supplemental_groups.as_deref());
    let is_in = more.unwrap_or_default().contains(&wanted);
    !is_in && fs_group != Some(wanted) && group(helper) != Some(wanted)
}

/// Whether the profile sets HOME only for `helper`, and `build` clones instead.
fn lacks_helper(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> bool {
    let build = regular(pod, BUILD).map(|build| &pod.spec.containers[build]);
    let has_home = build.is_some_and(|build| build.env("HOME").is_some());
    let gets_home = |role| profile.role(role).home();
    regular(pod, HELPER).is_none()
        && gets_home(Role::Helper)
        && !gets_home(Role::Build)
        && !has_home
}

/// Whether the overlay hides the volume at HOME.
fn hides_home(pod: &Pod<'_>) -> bool {
    let is_ours = |mount: &VolumeMount<'_>| mount.name.starts_with(home::VOLUME);
    pod.spec.containers.iter().any(|container| {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        mounts_overlay(container) && mounts.iter().any(is_ours)
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

    fn warnings_for(pod: &str, rules: &str) -> Vec<String> {
        let pod: Pod<'_> = serde_json::from_str(pod).expect("a pod");
        warnings(&pod, &EffectiveProfile::unchanged(&profile(rules)))
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

    #[test]
    fn helper_may_change_the_group_of_files_to_one_that_it_is_in() {
        let pod = |pod: &str, build: &str| {
            format!(
                r#"{{"spec": {{"securityContext": {pod},
                  "initContainers": [{{"name": "init-build-uid-gid-collector"}}],
                  "containers": [{{"name": "build", "securityContext": {build}}},
                                 {{"name": "helper", "securityContext": {{"runAsUser": 5}}}}]}}}}"#
            )
        };
        let rules = "containers: {helper: {ifUnset: {securityContext: {runAsUser: 5}}}}";
        assert_eq!(warnings_for(&pod("{}", "{}"), rules), [UMASK]);
        assert_eq!(
            warnings_for(&pod("{}", r#"{"runAsGroup": 5}"#), rules),
            [UMASK]
        );
        for of_pod in [
            r#"{"runAsGroup": 5}"#,
            r#"{"fsGroup": 5}"#,
            r#"{"supplementalGroups": [4, 5]}"#,
        ] {
            let pod = pod(of_pod, r#"{"runAsGroup": 5}"#);
            assert!(warnings_for(&pod, rules).is_empty(), "{of_pod}");
        }
        let other = "containers: {build: {home: true}}";
        assert!(
            warnings_for(&pod("{}", "{}"), other).is_empty(),
            "not because of the profile"
        );
    }

    #[test]
    fn a_home_for_helper_alone_is_warned_of_if_there_is_no_helper() {
        let pod =
            |env: &str| format!(r#"{{"spec": {{"containers": [{{"name": "build"{env}}}]}}}}"#);
        let helper = "containers: {helper: {home: true}}";
        assert_eq!(warnings_for(&pod(""), helper), [NO_HELPER]);
        let own = pod(r#", "env": [{"name": "HOME", "value": "/builds"}]"#);
        assert!(warnings_for(&own, helper).is_empty());
        let both = "containers: {helper: {home: true}, build: {home: true}}";
        assert!(warnings_for(&pod(""), both).is_empty());
    }

    #[test]
    fn a_warning_has_a_length_that_the_api_server_does_not_truncate() {
        for warning in [UMASK, NO_HELPER, HIDDEN_HOME] {
            assert!(warning.len() <= 256, "{}: {warning}", warning.len());
        }
    }
}
