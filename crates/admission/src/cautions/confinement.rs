//! What keeps Podman from making a user namespace and mounts in it, and a container from
//! starting.

use super::{About, Found, Job, named};
use crate::gitlab::role::{Role, containers};
use crate::pod::capability::same_capability;
use crate::pod::field::{Field, Scalar};
use crate::pod::security_context::Capabilities;
use crate::text::{Text, quoted};

/// The image of the runner's own containers is root's, unless an administrator chose
/// another flavor of it.
pub(super) fn helper_as_root(job: &Job<'_, '_>) -> Option<Found> {
    let is_of_runner = |role| matches!(role, Role::Helper | Role::Init);
    let must_not = |at| job.effective(at, Field::RunAsNonRoot) == Some(Scalar::Bool(true));
    let (at, role) = containers(job.pod)
        .into_iter()
        .find(|&(at, role)| is_of_runner(role) && must_not(at) && job.user(at).is_none())?;
    Some(Found {
        about: Some(About::Field(role, Field::RunAsNonRoot)),
        place: format!("{}, securityContext.runAsNonRoot", named(job.pod, at)),
        problem: "the runner's image is root, and the kubelet never starts it so, while the job \
                  waits; remove run_as_non_root from the runner's config.toml, or set a user with it"
            .to_owned(),
    })
}

/// Runtimes that are not runc or crun may have neither user namespaces nor overlays in
/// them.
pub(super) fn runtime_class(job: &Job<'_, '_>) -> Option<Found> {
    let class = job.pod.spec.runtime_class_name.as_deref()?;
    let pod = job.profile.pod();
    let of_profile = [pod.set(), pod.if_unset()].map(|fields| fields.runtime_class_name());
    if class.is_empty() || of_profile.contains(&Some(class)) {
        return None;
    }
    let what = match job.has_own_user_namespace() {
        true => {
            "no user namespaces (hostUsers: false), and the pod then stays in ContainerCreating"
        }
        false => "none of the mounts that Podman makes, as gVisor",
    };
    let problem = format!(
        "the runtime {} may have {what}; remove runtime_class_name from the runner's config.toml, or \
         try it",
        quoted(class)
    );
    Found::new("pod, runtimeClassName", problem)
}

/// `newuidmap` maps the ids of a user in the group that passwd has for it only (shadow,
/// `src/newuidmap.c`).
pub(super) fn group_of_user(job: &Job<'_, '_>) -> Option<Found> {
    let user = job.user(job.build).filter(|user| *user > 0)?;
    let group = job.effective(job.build, Field::RunAsGroup)?.int()?;
    if group == user {
        return None;
    }
    job.in_build(
        Field::RunAsGroup,
        &format!(
            "{group} has to be the group of user {user} in the image's passwd, or newuidmap fails: \
             \"Target process is owned by a different user\""
        ),
        "remove it",
        "remove run_as_group from the runner's config.toml",
    )
}

pub(super) fn seccomp(job: &Job<'_, '_>) -> Option<Found> {
    if job.is_privileged() || adds(job, "SYS_ADMIN") || !is_default(job, Field::SeccompProfile) {
        return None;
    }
    job.in_build(
        Field::SeccompProfile,
        "RuntimeDefault without SYS_ADMIN forbids user namespaces: \"cannot clone: Operation not \
         permitted\"",
        "remove it, or use Unconfined or Localhost",
        "remove seccomp_profile from the runner's config.toml, or use a Localhost profile",
    )
}

pub(super) fn app_armor(job: &Job<'_, '_>) -> Option<Found> {
    if job.is_privileged() || !is_default(job, Field::AppArmorProfile) {
        return None;
    }
    job.in_build(
        Field::AppArmorProfile,
        "on nodes with AppArmor its default denies mount, which Podman needs",
        "use Unconfined or Localhost",
        "remove app_armor_profile from the runner's config.toml, or use a Localhost profile",
    )
}

/// `newuidmap` maps the ids of a user that is not root, by the capabilities of its file.
pub(super) fn escalation(job: &Job<'_, '_>) -> Option<Found> {
    let is_forbidden =
        job.effective(job.build, Field::AllowPrivilegeEscalation) == Some(Scalar::Bool(false));
    if job.is_privileged() || !job.is_non_root(job.build) || !is_forbidden {
        return None;
    }
    job.in_build(
        Field::AllowPrivilegeEscalation,
        "newuidmap gains no capability from its file: \"newuidmap: write to uid_map failed: \
         Operation not permitted\"",
        "set it to true, or run as 0",
        "remove allow_privilege_escalation from the runner's config.toml, or run as 0",
    )
}

pub(super) fn capabilities(job: &Job<'_, '_>) -> Option<Found> {
    if job.is_privileged() || !job.is_non_root(job.build) {
        return None;
    }
    let missing = ["SETUID", "SETGID"]
        .into_iter()
        .find(|name| drops(job, name) && !adds(job, name))?;
    Some(Found {
        about: Some(About::Capabilities),
        place: "container \"build\", securityContext.capabilities".to_owned(),
        problem: format!(
            "{missing} is dropped and not added, so newuidmap and newgidmap cannot map ids; add \
             SETUID and SETGID"
        ),
    })
}

pub(super) fn read_only_root(job: &Job<'_, '_>) -> Option<Found> {
    let field = Field::ReadOnlyRootFilesystem;
    if job.effective(job.build, field) != Some(Scalar::Bool(true)) {
        return None;
    }
    let has_mount = |path: &str| {
        let mut mounts = job.build().mount_paths();
        mounts.any(|mounted| mounted.trim_end_matches('/') == path)
    };
    if ["/tmp", "/var/tmp", "/run"].into_iter().all(has_mount) {
        return None;
    }
    job.in_build(
        field,
        "Podman and Buildah write to /tmp, /var/tmp and /run",
        "remove it",
        "mount an emptyDir at each in the runner's config.toml, or remove read_only_root_filesystem",
    )
}

fn is_default(job: &Job<'_, '_>, field: Field) -> bool {
    match job.effective(job.build, field) {
        Some(Scalar::Confinement(profile)) => &*profile.type_ == "RuntimeDefault",
        _ => false,
    }
}

fn adds(job: &Job<'_, '_>, name: &str) -> bool {
    has(job, |lists| lists.add.as_deref(), name)
}

fn drops(job: &Job<'_, '_>, name: &str) -> bool {
    has(job, |lists| lists.drop.as_deref(), name)
}

/// Whether a list of `build`'s capabilities has `name`, by itself or as a part of `ALL`.
fn has(
    job: &Job<'_, '_>,
    list: for<'c> fn(&'c Capabilities<'_>) -> Option<&'c [Text<'c>]>,
    name: &str,
) -> bool {
    let context = job.build().security_context.as_ref();
    let capabilities = context.and_then(|context| context.capabilities.as_ref());
    let names = capabilities.and_then(list).unwrap_or_default();
    let is = |there: &Text<'_>| same_capability(there, name) || same_capability(there, "ALL");
    names.iter().any(is)
}
