//! Directories and limits that the job's own settings give Podman.

use super::volumes::is_on_writable_volume;
use super::{Found, Job};
use crate::gitlab::role::{Role, containers};
use crate::pod::field::{Field, Scalar};
use crate::profile::Medium;
use crate::profile::home_path::{is_at_or_under, normalised};
use crate::text::quoted;

/// Variables that name a directory in which Podman makes files.
const DIRECTORIES: [&str; 2] = ["XDG_RUNTIME_DIR", "TMPDIR"];
/// Directories that every image has and anyone can write to.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

pub(super) fn directories(job: &Job<'_, '_>) -> Option<Found> {
    if !job.is_non_root(job.build) {
        return None;
    }
    let is_usable = |path: &str| {
        TEMPORARY.contains(&path.trim_end_matches('/'))
            || is_on_writable_volume(job, job.build(), path)
    };
    let (name, path) = DIRECTORIES
        .into_iter()
        .filter_map(|name| Some((name, job.variable(name)?)))
        .find(|(_, path)| !path.is_empty() && !is_usable(path))?;
    let problem = format!(
        "{} is on no volume that the job's user can write to: \
         \"Permission denied\"; remove the job variable {name}, or set it to a directory in HOME",
        quoted(path)
    );
    Found::new(format!("container \"build\", env {name}"), problem)
}

/// The clone makes the checkout, and only such directories in it as the repository has.
pub(super) fn home_in_checkout(job: &Job<'_, '_>) -> Option<Found> {
    let (home, checkout) = (job.path("HOME")?, job.path("CI_PROJECT_DIR")?);
    let mut mounts = job.build().mount_paths();
    let is_inside = home != checkout && is_at_or_under(&home, &checkout);
    let is_made = mounts.any(|mounted| is_at_or_under(&normalised(mounted), &home));
    if !is_inside || is_made || !job.is_non_root(job.build) {
        return None;
    }
    let problem = format!(
        "{} is in the checkout, and unless the repository has that directory, Podman ends in \"cannot \
         resolve … no such file or directory\"; set the job variable HOME to the checkout itself or \
         to a path outside it",
        quoted(&home)
    );
    Found::new("container \"build\", env HOME".to_owned(), problem)
}

/// A `RUN` step in namespaces of its own mounts a `/proc`, which the kernel refuses where
/// parts of the container's are masked.
pub(super) fn isolation(job: &Job<'_, '_>) -> Option<Found> {
    const ISOLATION: &str = "BUILDAH_ISOLATION";
    let own = job
        .variable(ISOLATION)
        .filter(|value| ["oci", "rootless"].contains(value))?;
    let proc_mount = job.effective(job.build, Field::ProcMount);
    let is_unmasked = matches!(proc_mount, Some(Scalar::Text(kind)) if &*kind == "Unmasked");
    if is_unmasked || job.is_privileged() {
        return None;
    }
    Found::new(
        format!("container \"build\", env {ISOLATION}"),
        format!(
            "with {own}, RUN steps mount a /proc of their own: \"mount proc to proc: Operation not \
             permitted\"; remove the job variable {ISOLATION}, or use the profile userns"
        ),
    )
}

/// Images in a volume count towards this limit, as files in the container do.
pub(super) fn ephemeral_storage(job: &Job<'_, '_>) -> Option<Found> {
    const LIMIT: &str = "ephemeral-storage";
    let is_on_disk = !matches!(job.profile.empty_dir().medium, Some(Medium::Memory));
    let build = job.profile.role(Role::Build);
    if !is_on_disk || !build.home() && build.empty_dirs().is_empty() {
        return None;
    }
    let limit = containers(job.pod).into_iter().find_map(|(at, _)| {
        let limits = job.pod.container(at).resources.as_ref()?.limits.as_ref()?;
        limits.get(LIMIT)
    })?;
    let problem = format!(
        "of {}: Podman's images count towards it, in a volume as in the \
         container, and a pod that exceeds it is evicted; leave room for them, or remove the limit",
        quoted(&limit.0)
    );
    Found::new(format!("pod, resources.limits {LIMIT}"), problem)
}
