//! The `emptyDir`s that podseal adds, and the mounts that a path is at, in or around.

use std::borrow::Cow;
use std::collections::HashSet;

use super::change::By;
use super::editor::Corrector;
use crate::gitlab::role::containers;
use crate::pod::place::ContainerRef;
use crate::pod::{Container, Pod, Volume, VolumeMount};
use crate::profile::EffectiveProfile;
use crate::profile::home_path::{is_at_or_under, normalised};
use crate::text::Text;

/// What the names of the volumes begin with that podseal adds.
pub(crate) const PREFIX: &str = "podseal-";

/// The innermost mount of a container that a path is at or in: it hides the outer ones.
pub(super) struct Mount<'c> {
    /// Its path, as written.
    pub(super) mounted: &'c str,
    normal: Cow<'c, str>,
}

impl<'c> Mount<'c> {
    /// The one at or around `path`, which is normalized.
    pub(super) fn of(container: &'c Container<'_>, path: &str) -> Option<Mount<'c>> {
        let mounts = container.mount_paths().map(|mounted| Mount {
            mounted,
            normal: normalised(mounted),
        });
        mounts
            .filter(|mount| is_at_or_under(path, &mount.normal))
            .max_by_key(|mount| mount.normal.len())
    }

    /// Whether `path` is in it, and not the mount itself: nobody has made that
    /// directory yet.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.normal != path
    }

    /// Whether an `emptyDir` is mounted there.
    pub(super) fn is_empty_dir(&self, pod: &Pod<'_>, container: &Container<'_>) -> bool {
        let is_empty_dir = |mount| volumes(pod, mount).any(Volume::is_empty_dir);
        self.entry(container).is_some_and(is_empty_dir)
    }

    /// Why it is not writable.
    pub(super) fn unwritable(
        &self,
        pod: &Pod<'_>,
        container: &Container<'_>,
    ) -> Option<&'static str> {
        let Some(mount) = self.entry(container) else {
            return Some("which is a raw block device");
        };
        let is_read_only = mount.read_only || volumes(pod, mount).any(Volume::is_read_only);
        is_read_only.then_some("which is mounted read-only, and git and Podman write to HOME")
    }

    fn entry<'m, 'a>(&self, container: &'m Container<'a>) -> Option<&'m VolumeMount<'a>> {
        let mut mounts = container.volume_mounts.iter().flatten();
        mounts.find(|mount| normalised(&mount.mount_path) == self.normal)
    }
}

/// The volumes of the pod by the name that the mount has.
fn volumes<'p, 'a>(
    pod: &'p Pod<'a>,
    mount: &'p VolumeMount<'a>,
) -> impl Iterator<Item = &'p Volume<'a>> {
    let volumes = pod.spec.volumes.iter().flatten();
    volumes.filter(|volume| volume.name == mount.name)
}

/// Whether a path needs a mount of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Where there is none at or around it.
    Any,
    /// Also where the only mount around it is an `emptyDir`, in which no container creates
    /// that directory.
    ItsOwn,
}

/// Mounts one `emptyDir` at `path` in those of `containers` that need it. A mount inside
/// stays: runtimes mount by path, the outer one first.
///
/// It is called `name`, unless the pod already uses that.
pub(super) fn mount<'a>(
    corrector: &mut Corrector<'a, '_>,
    containers: &[(ContainerRef, By<'a>)],
    by: By<'a>,
    (path, needs): (&str, Needs),
    name: &str,
    profile: &EffectiveProfile<'a>,
) {
    let mut uncovered = Vec::new();
    let mut volume = None;
    for &(at, by) in containers {
        let container = corrector.pod().container(at);
        volume = volume.or_else(|| ours_at(corrector.pod(), container, path, name));
        let is_covered = Mount::of(container, path).is_some_and(|mount| {
            needs == Needs::Any
                || !mount.contains(path)
                || !mount.is_empty_dir(corrector.pod(), container)
        });
        if !is_covered {
            uncovered.push((at, by));
        }
    }
    if uncovered.is_empty() {
        return;
    }
    let volume = volume.unwrap_or_else(|| {
        let name = Text::from(free_name(corrector.pod(), name));
        corrector.by(by);
        corrector.add_empty_dir(name.clone(), profile.empty_dir());
        name
    });
    for (at, by) in uncovered {
        corrector.by(by);
        corrector.add_mount(at, volume.clone(), path.to_owned().into());
    }
}

/// Mounts one at each path of `emptyDirs` in the profile.
pub(super) fn mount_empty_dirs<'a>(
    corrector: &mut Corrector<'a, '_>,
    profile: &EffectiveProfile<'a>,
) {
    for (at, _) in containers(corrector.pod()) {
        let (scope, rules) = profile.rules(at.list, corrector.pod().container(at));
        let by = By::EmptyDirs(scope);
        for path in rules.empty_dirs() {
            let path = path.trim_end_matches('/');
            let (at, needs) = ([(at, by)], Needs::Any);
            mount(corrector, &at, by, (path, needs), &name_for(path), profile);
        }
    }
}

/// The last segment of the path, if a volume can be called so.
fn name_for(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    match !last.is_empty() && last.len() <= 40 && last.bytes().all(is_plain) {
        true => format!("{PREFIX}{last}"),
        false => format!("{PREFIX}volume"),
    }
}

/// The volume of an earlier correction, which is missing in a container that
/// another webhook has replaced since. Only a volume that podseal could have added:
/// the name alone is not enough.
fn ours_at<'a>(
    pod: &Pod<'a>,
    container: &Container<'a>,
    path: &str,
    name: &str,
) -> Option<Text<'a>> {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let at_path = |mount: &&VolumeMount<'_>| normalised(&mount.mount_path) == path;
    let volume = &mounts.iter().find(at_path)?.name;
    let number = volume.strip_prefix(name)?;
    let numbered = number
        .strip_prefix('-')
        .is_some_and(|n| n.parse::<u32>().is_ok());
    let volumes = pod.spec.volumes.as_deref().unwrap_or_default();
    let is_empty_dir = volumes
        .iter()
        .any(|v| v.name == *volume && v.is_empty_dir());
    ((number.is_empty() || numbered) && is_empty_dir).then(|| volume.clone())
}

/// A name that no volume has, nor a mount: one whose volume is missing must not get ours.
fn free_name(pod: &Pod<'_>, name: &str) -> String {
    let volumes = pod.spec.volumes.as_deref().unwrap_or_default();
    let of_volumes = volumes.iter().map(|volume| &*volume.name);
    let containers = pod.containers().map(|(_, container)| container);
    let mounts = containers.flat_map(|container| container.volume_mounts.iter().flatten());
    let of_mounts = mounts.map(|mount| &*mount.name);
    let taken: HashSet<&str> = of_volumes.chain(of_mounts).collect();
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name.as_str()))
        .expect("a pod has fewer volumes than there are numbers")
}
