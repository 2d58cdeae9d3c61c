//! Volumes that the job's user cannot read or write, or that cannot be mounted, and files
//! that it no longer finds.

use std::collections::HashSet;

use super::{Found, Job, named};
use crate::correct::volumes;
use crate::gitlab::role::containers;
use crate::pod::place::ContainerRef;
use crate::pod::{Container, Volume, VolumeMount};
use crate::profile::home_path::{is_at_or_under, normalised};
use crate::text::{Text, quoted};

/// Sources that the kernel cannot mount with mapped ids (Kubernetes, "User Namespaces",
/// v1.37).
const UNMAPPED: [&str; 1] = ["nfs"];

/// Sources whose files belong to whoever wrote them, and not to the pod.
const KEPT: [&str; 7] = [
    "persistentVolumeClaim",
    "hostPath",
    "nfs",
    "csi",
    "ephemeral",
    "cephfs",
    "glusterfs",
];
/// Those of them that the kubelet gives to `fsGroup`, as far as their driver allows it.
const BY_FS_GROUP: [&str; 3] = ["persistentVolumeClaim", "csi", "ephemeral"];

/// Homes that images have.
const HOMES: [&str; 2] = ["/root", "/home"];

/// Variables that name a file or a directory with settings or logins.
const POINTERS: [&str; 3] = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME"];

/// The volume mounts of the job's own containers, each with its volume.
fn mounts<'j, 'p, 'a>(
    job: &'j Job<'p, 'a>,
) -> impl Iterator<Item = (ContainerRef, &'p VolumeMount<'a>, &'p Volume<'a>)> + use<'j, 'p, 'a> {
    let own = [Some(job.build), job.helper].into_iter().flatten();
    let mounts = own.flat_map(move |at| {
        let mounts = job.pod.container(at).volume_mounts.iter().flatten();
        mounts.map(move |mount| (at, mount))
    });
    mounts.filter_map(|(at, mount)| Some((at, mount, job.volume(&mount.name)?)))
}

impl<'p, 'a> Job<'p, 'a> {
    fn volume(&self, name: &str) -> Option<&'p Volume<'a>> {
        self.volumes.get(name).copied()
    }

    fn fs_group(&self) -> Option<i64> {
        self.pod.spec.security_context.as_ref()?.fs_group
    }
}

fn in_mount(job: &Job<'_, '_>, at: ContainerRef, path: &str) -> String {
    format!("{}, volumeMounts {}", named(job.pod, at), quoted(path))
}

fn source<'v>(volume: &'v Volume<'_>, among: &[&str]) -> Option<&'v str> {
    let mut sources = volume.sources.iter().map(|source| &**source);
    sources.find(|source| among.contains(source))
}

pub(super) fn in_user_namespace(job: &Job<'_, '_>) -> Option<Found> {
    if !job.has_own_user_namespace() {
        return None;
    }
    let all = containers(job.pod).into_iter();
    let mounts = all.flat_map(|(at, _)| job.pod.container(at).volume_mounts.iter().flatten());
    let mounted: HashSet<&str> = mounts.map(|mount| &*mount.name).collect();
    let is_mounted = |volume: &Volume<'_>| mounted.contains(&*volume.name);
    let mut volumes = job.pod.spec.volumes.iter().flatten();
    let volume =
        volumes.find(|volume| source(volume, &UNMAPPED).is_some() && is_mounted(volume))?;
    Found::new(
        format!("pod, volumes {}", quoted(&volume.name)),
        "NFS has no id-mapped mounts, so with hostUsers: false the pod stays in ContainerCreating; \
         remove the volume from the runner's config.toml, or use another profile",
    )
}

/// The profile changes the user, and what another user wrote stays that user's.
pub(super) fn owner(job: &Job<'_, '_>) -> Option<Found> {
    let (at, mount, source) = mounts(job).find_map(|(at, mount, volume)| {
        let source = source(volume, &KEPT)?;
        let is_given = job.fs_group().is_some() && BY_FS_GROUP.contains(&source);
        let is_unused = is_at_or_under(&normalised(&mount.mount_path), "/var/lib/containers");
        let writes = !mount.read_only && !is_unused && job.is_non_root(at);
        (writes && !is_given).then_some((at, mount, source))
    })?;
    let user = job.user(at);
    let user = user.map_or("a user that is not root".to_owned(), |user| {
        format!("uid {user}")
    });
    let remedy = match BY_FS_GROUP.contains(&source) {
        true => "set fs_group in pod_security_context in the runner's config.toml",
        false => "let that user write there",
    };
    Found::new(
        in_mount(job, at, &mount.mount_path),
        format!(
            "{user} cannot write to what root wrote to this {source}: \"Permission denied\"; {remedy}"
        ),
    )
}

/// The runtime makes the directories between HOME and a mount in it, as root's.
pub(super) fn parents_in_home(job: &Job<'_, '_>) -> Option<Found> {
    let home = job.path("HOME")?;
    if !job.is_non_root(job.build) {
        return None;
    }
    let local = format!("{home}/.local");
    // Podman makes .local/share/containers, and writes below it.
    let share = format!("{home}/.local/share");
    let store = format!("{share}/containers");
    let mut paths = job.build().mount_paths();
    let is_covered = job
        .build()
        .mount_paths()
        .any(|mounted| is_at_or_under(&store, &normalised(mounted)) && normalised(mounted) != home);
    let mounted = paths.find(|mounted| {
        let mounted = normalised(mounted);
        is_at_or_under(&mounted, &local)
            && mounted != local
            && !is_at_or_under(&mounted, &store)
            && mounted != share
    })?;
    if is_covered {
        return None;
    }
    Found::new(
        in_mount(job, job.build, mounted),
        format!(
            "the runtime makes the directories above it as root's, so Podman cannot make {}; mount \
             it elsewhere in the runner's config.toml",
            quoted(&store)
        ),
    )
}

/// Directories of configuration in which an administrator mounts a storage.conf.
const CONFIGURATION: [&str; 2] = ["/etc/containers", "/.config/containers"];
/// The file that the profiles name instead.
const NO_FILE: &str = "/dev/null";

/// Whether a storage.conf may be mounted there.
fn may_have_storage_conf(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    file == "storage.conf" || CONFIGURATION.iter().any(|end| path.ends_with(end))
}

/// A storage.conf that somebody mounts on purpose is not read either.
pub(super) fn storage_conf(job: &Job<'_, '_>) -> Option<Found> {
    if job.variable("CONTAINERS_STORAGE_CONF") != Some(NO_FILE) {
        return None;
    }
    let build = mounts(job).filter(|(at, ..)| *at == job.build);
    let mut files = build.filter(|(_, _, volume)| !volume.is_empty_dir());
    let (at, mount, _) =
        files.find(|(_, mount, _)| may_have_storage_conf(&normalised(&mount.mount_path)))?;
    Found::new(
        in_mount(job, at, &mount.mount_path),
        "a storage.conf here is not read, since the profile sets CONTAINERS_STORAGE_CONF; set the job \
         variable CONTAINERS_STORAGE_CONF to its path if it must apply",
    )
}

/// Where root's images are, a user that is not root keeps none.
pub(super) fn unused_store(job: &Job<'_, '_>) -> Option<Found> {
    const OF_ROOT: &str = "/var/lib/containers";
    if !job.is_non_root(job.build) {
        return None;
    }
    // The profile's own are not the runner's to change.
    let mut mounts = mounts(job)
        .filter(|(at, mount, _)| *at == job.build && !mount.name.starts_with(volumes::PREFIX));
    let (_, mount, _) =
        mounts.find(|(_, mount, _)| is_at_or_under(&normalised(&mount.mount_path), OF_ROOT))?;
    let home = job.path("HOME").unwrap_or_else(|| "HOME".into());
    Found::new(
        in_mount(job, job.build, &mount.mount_path),
        format!(
            "the images of root are here, and those of build in HOME, so it stays empty; mount it at \
             {} in the runner's config.toml, or use the profile root",
            quoted(&format!("{home}/.local/share/containers"))
        ),
    )
}

/// podseal moves HOME, and files that are mounted in the image's are not found there.
pub(super) fn old_home(job: &Job<'_, '_>) -> Option<Found> {
    let of_root = || (job.user(job.build) == Some(0)).then(|| "/root".into());
    let home = job.path("HOME").or_else(of_root)?;
    let named: Vec<_> = POINTERS.iter().filter_map(|name| job.path(name)).collect();
    let is_named = |path: &str| named.iter().any(|value| is_at_or_under(value, path));
    let is_orphan = |mounted: &&Text<'_>| {
        let path = normalised(mounted);
        let is_in = |home: &&str| is_at_or_under(&path, home) && path != **home;
        let is_found_by_ssh = is_of_ssh(&path) && is_at_or_under(&path, "/home");
        (HOMES.iter().any(is_in) || path == "/root")
            && !is_at_or_under(&path, &home)
            && !is_at_or_under(&home, &path)
            && !may_have_storage_conf(&path)
            && !is_found_by_ssh
            && !is_named(&path)
    };
    let mounted = job.build().mount_paths().find(is_orphan)?;
    if is_of_ssh(&normalised(mounted)) {
        let problem = "ssh does not find it: it ignores HOME, and reads .ssh in the home that the \
                       image's passwd has for the user; mount it there, such as at /home/podman/.ssh";
        return Found::new(in_mount(job, job.build, mounted), problem.to_owned());
    }
    Found::new(
        in_mount(job, job.build, mounted),
        format!(
            "HOME is {}, so files for another HOME are not found; mount it there in the runner's \
             config.toml, or set the job variable REGISTRY_AUTH_FILE if it is a login",
            quoted(&home)
        ),
    )
}

/// ssh ignores HOME.
fn is_of_ssh(path: &str) -> bool {
    path.split('/').any(|part| part == ".ssh")
}

/// A secret that only root, its owner, can read.
pub(super) fn secret_mode(job: &Job<'_, '_>) -> Option<Found> {
    const OTHERS_READ: i64 = 0o004;
    if job.fs_group().is_some() {
        return None;
    }
    let (at, mount, mode) = mounts(job).find_map(|(at, mount, volume)| {
        let mode = volume.default_mode.filter(|mode| mode & OTHERS_READ == 0)?;
        job.is_non_root(at).then_some((at, mount, mode))
    })?;
    Found::new(
        in_mount(job, at, &mount.mount_path),
        format!(
            "defaultMode 0{mode:o} lets only root read it: \"Permission denied\"; set fs_group in \
             pod_security_context in the runner's config.toml, or a mode such as 0444"
        ),
    )
}

/// Whether a path is at or in a volume of the container that can be written to.
pub(super) fn is_on_writable_volume(
    job: &Job<'_, '_>,
    container: &Container<'_>,
    path: &str,
) -> bool {
    let path = normalised(path);
    let mounts = container.volume_mounts.iter().flatten();
    let around = mounts
        .filter(|mount| is_at_or_under(&path, &normalised(&mount.mount_path)))
        .max_by_key(|mount| normalised(&mount.mount_path).len());
    around.is_some_and(|mount| {
        let volume = job.volume(&mount.name);
        !mount.read_only && !volume.is_some_and(Volume::is_read_only)
    })
}
