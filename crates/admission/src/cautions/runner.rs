//! Features of GitLab Runner that a job's pod may fail, read from GitLab Runner 19.4,
//! `executors/kubernetes`:
//!
//! | feature | recognised by | needs |
//! |---|---|---|
//! | umask disabled | the init container `init-build-uid-gid-collector` | a `helper` that may change the group of files to that of `build` |
//! | native steps | no `helper` | HOME in `build`, which clones there |
//! | suspendable | the volume `gl-runner-overlay-init` | HOME in the overlay's own volume |

use super::{Found, Job};
use crate::correct::{home, runner_features};
use crate::gitlab::role::{Role, UID_COLLECTOR};
use crate::pod::VolumeMount;
use crate::pod::field::Field;

const UMASK: &str = "FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR makes helper change the owner of the job's \
    files to build's, which fails unless helper is root or in build's group; turn the flag off, \
    or set run_as_user = 0 in helper_container_security_context";

const NO_HELPER: &str = "this pod has no helper (native steps), so build clones, and the profile \
    sets HOME only for helper; a user without an entry in the image's passwd then has HOME=/, \
    where git fails; set home: true for build in the profile";

const HIDDEN_HOME: &str = "the overlay of a suspendable environment hides the volume at HOME, so \
    Podman's images are in the overlay, where a second overlay fails; set the job variable HOME to \
    a path in the builds directory";

/// `helper` has to change the owner of files to a group that it is not in, and the
/// profile has rules for `helper`. If no group is set for `build`, it is the image's.
pub(super) fn changes_owner_to_foreign_group(job: &Job<'_, '_>) -> Option<Found> {
    let helper = job.helper?;
    let mut inits = job.pod.spec.init_containers.iter();
    let collects = inits.any(|container| &*container.name == UID_COLLECTOR);
    let is_non_root = job.user(helper).is_some_and(|user| user > 0);
    if !collects || !is_non_root || job.profile.role(Role::Helper).is_empty() {
        return None;
    }
    let group = |at| {
        job.effective(at, Field::RunAsGroup)
            .and_then(|group| group.int())
    };
    let Some(wanted) = group(job.build) else {
        return Found::new("", UMASK);
    };
    let context = job.pod.spec.security_context.as_ref();
    let fs_group = context.and_then(|context| context.fs_group);
    let more = context.and_then(|context| context.supplemental_groups.as_deref());
    let is_in = more.unwrap_or_default().contains(&wanted);
    if is_in || fs_group == Some(wanted) || group(helper) == Some(wanted) {
        return None;
    }
    Found::new("", UMASK)
}

/// The profile sets HOME only for `helper`, and `build` clones instead.
pub(super) fn lacks_helper(job: &Job<'_, '_>) -> Option<Found> {
    let gets_home = |role| job.profile.role(role).home();
    let is_lacking = job.helper.is_none()
        && gets_home(Role::Helper)
        && !gets_home(Role::Build)
        && job.build().env("HOME").is_none();
    is_lacking.then(|| Found::new("", NO_HELPER)).flatten()
}

/// The overlay hides the volume at HOME.
pub(super) fn hides_home(job: &Job<'_, '_>) -> Option<Found> {
    let is_ours = |mount: &VolumeMount<'_>| mount.name.starts_with(home::VOLUME);
    let is_hidden = job.pod.spec.containers.iter().any(|container| {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        runner_features::mounts_overlay(container) && mounts.iter().any(is_ours)
    });
    is_hidden.then(|| Found::new("", HIDDEN_HOME)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::cautions;
    use super::*;
    use crate::pod::Pod;
    use crate::profile::{EffectiveProfile, Profile};

    fn warnings_for(pod: &str, rules: &str) -> Vec<String> {
        let yaml = format!("name: x\nsummary: y\n{rules}\n");
        let profile = Profile::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}"));
        let pod: Pod<'_> = serde_json::from_str(pod).expect("a pod");
        let cautions = cautions(&pod, &EffectiveProfile::unchanged(&profile));
        cautions.iter().map(ToString::to_string).collect()
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
