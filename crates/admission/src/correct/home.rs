//! The HOME rule.
//!
//! A job whose user has no passwd entry gets `HOME=/`, and fails with `could not
//! lock config file //.gitconfig`. The rule sets a writable HOME for `build` and
//! `helper`: the path that `build` already has, or the profile's, with an
//! `emptyDir` mounted there.
//!
//! The job's author can choose that path (a CI variable called `HOME` ends up in
//! `build`'s `env`), and the API server accepts any string. So it is checked here,
//! and a volume is never mounted inside or around another.

use std::collections::HashSet;

use super::change::By;
use super::editor::Corrector;
use super::refusal::Refusal;
use crate::gitlab::role::{BUILD, Role};
use crate::pod::place::{ContainerRef, Place};
use crate::pod::{Container, Pod, Volume, VolumeMount};
use crate::profile::EffectiveProfile;
use crate::profile::home_path::{HomePath, is_at_or_under, normalised};
use crate::text::{Text, quoted};

/// Name of the volume mounted at HOME, unless the pod already uses it.
pub const VOLUME: &str = "podseal-home";

/// Applies the rule to every container whose role has `home: true` in the profile.
pub(crate) fn set_home<'a>(
    corrector: &mut Corrector<'a, '_>,
    profile: &EffectiveProfile<'a>,
) -> Result<(), Refusal> {
    let mut targets: Vec<_> = targets(corrector.pod(), profile).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let build = corrector
        .pod()
        .spec
        .containers
        .iter()
        .find(|c| &*c.name == BUILD);
    let own = build.map_or(Ok(None), |build| home_of(build))?;
    let is_jobs = matches!(own, Some((_, HomePath::Mountable(_))));
    let (value, path) = match own {
        Some((value, HomePath::Mountable(path))) => (value, path),
        Some((_, HomePath::OfPodmanImage)) => {
            targets.retain(|&(role, ..)| role != Role::Build);
            profile_home(profile)
        }
        None => profile_home(profile),
    };
    corrector.by(match is_jobs {
        true => By::JobsHome,
        false => By::Home,
    });
    for &(_, at) in &targets {
        corrector.set_env(at, "HOME", value.clone());
    }
    mount(corrector, &targets, &path, profile)
}

type Target = (Role, ContainerRef);

fn targets<'s>(
    pod: &'s Pod<'_>,
    profile: &'s EffectiveProfile<'_>,
) -> impl Iterator<Item = Target> + 's {
    pod.containers().filter_map(|(place, container)| {
        let Place::Container(at) = place else {
            return None;
        };
        let role = Role::of(at.list, &container.name);
        profile.role(role).home().then_some((role, at))
    })
}

fn profile_home<'a>(profile: &EffectiveProfile<'a>) -> (Text<'a>, String) {
    let path = profile.home_path();
    (path.into(), path.trim_end_matches('/').to_owned())
}

/// The HOME that `build` already has, as written and as a path.
fn home_of<'a>(build: &Container<'a>) -> Result<Option<(Text<'a>, HomePath)>, Refusal> {
    let Some((_, var)) = build.env("HOME") else {
        return Ok(None);
    };
    let refuse = |problem: String| Refusal {
        place: format!("container {}", quoted(BUILD)),
        field: "env HOME".to_owned(),
        problem,
        remedy: "set the job variable HOME to another path, such as /my_custom_dir, or remove it"
            .to_owned(),
    };
    if var.value_from.is_some() {
        let problem = "comes from valueFrom, so podseal cannot know where to mount a volume for it";
        return Err(refuse(problem.to_owned()));
    }
    let value = var.value.clone().unwrap_or_default();
    match HomePath::parse(&value) {
        Ok(path) => Ok(Some((value, path))),
        Err(refusal) => Err(refuse(format!("{} {refusal}", quoted(&value)))),
    }
}

/// The HOME that the job itself sets, if podseal uses it instead of the profile's.
pub fn of_job(pod: &Pod<'_>) -> Option<String> {
    let mut containers = pod.spec.containers.iter();
    let build = containers.find(|container| &*container.name == BUILD)?;
    match home_of(build) {
        Ok(Some((value, HomePath::Mountable(_)))) => Some(value.to_string()),
        _ => None,
    }
}

fn mount<'a>(
    corrector: &mut Corrector<'a, '_>,
    targets: &[Target],
    path: &str,
    profile: &EffectiveProfile<'a>,
) -> Result<(), Refusal> {
    let mut uncovered = Vec::new();
    let mut volume = None;
    for &(_, at) in targets {
        let container = corrector.pod().container(at);
        volume = volume.or_else(|| our_volume_at(corrector.pod(), container, path));
        match cover(corrector.pod(), container, path)? {
            Cover::Mounted => {}
            Cover::Bare => uncovered.push(at),
        }
    }
    if uncovered.is_empty() {
        return Ok(());
    }
    let volume = volume.unwrap_or_else(|| {
        let name = Text::from(free_volume_name(corrector.pod()));
        corrector.add_empty_dir(name.clone(), profile.home_volume());
        name
    });
    for at in uncovered {
        corrector.add_mount(at, volume.clone(), path.to_owned().into());
    }
    Ok(())
}

enum Cover {
    /// HOME is, or is inside, an existing mount.
    Mounted,
    Bare,
}

fn cover(pod: &Pod<'_>, container: &Container<'_>, path: &str) -> Result<Cover, Refusal> {
    let refuse = |problem: String, remedy: &str| {
        Err(Refusal {
            place: format!("container {}", quoted(&container.name)),
            field: "env HOME".to_owned(),
            problem,
            remedy: format!("set the job variable HOME to {remedy}"),
        })
    };
    // The innermost mount applies: it hides the outer ones.
    let around = container
        .mount_paths()
        .map(|mounted| (normalised(mounted), mounted))
        .filter(|(normal, _)| is_at_or_under(path, normal))
        .max_by_key(|(normal, _)| normal.len());
    if let Some((normal, mounted)) = around {
        return match unwritable(pod, container, &normal) {
            None => Ok(Cover::Mounted),
            Some(what) => refuse(
                format!("{} is in {}, {what}", quoted(path), quoted(mounted)),
                "a path outside it",
            ),
        };
    }
    let mut inside = container.mount_paths();
    match inside.find(|mounted| is_at_or_under(&normalised(mounted), path)) {
        None => Ok(Cover::Bare),
        Some(mounted) => refuse(
            format!(
                "{} contains {}, where a volume is already mounted, and mounts must not nest",
                quoted(path),
                quoted(mounted),
            ),
            "that path or to one outside it",
        ),
    }
}

/// Why the mount at `path` is not writable.
fn unwritable(pod: &Pod<'_>, container: &Container<'_>, path: &str) -> Option<&'static str> {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let mount = mounts
        .iter()
        .find(|mount| normalised(&mount.mount_path) == path);
    let Some(mount) = mount else {
        return Some("which is a raw block device");
    };
    let volumes = pod.spec.volumes.as_deref().unwrap_or_default();
    let mut volumes = volumes.iter().filter(|volume| volume.name == mount.name);
    let is_read_only = mount.read_only || volumes.any(Volume::is_read_only);
    is_read_only.then_some("which is mounted read-only, and git and Podman write to HOME")
}

/// The volume of an earlier correction, which is missing in a container that
/// another webhook has replaced since. Only a volume that podseal could have added:
/// the name alone is not enough.
fn our_volume_at<'a>(pod: &Pod<'a>, container: &Container<'a>, path: &str) -> Option<Text<'a>> {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let at_home = |mount: &&VolumeMount<'_>| normalised(&mount.mount_path) == path;
    let name = &mounts.iter().find(at_home)?.name;
    let number = name.strip_prefix(VOLUME)?;
    let numbered = number
        .strip_prefix('-')
        .is_some_and(|n| n.parse::<u32>().is_ok());
    let volumes = pod.spec.volumes.as_deref().unwrap_or_default();
    let is_empty_dir = volumes.iter().any(|v| v.name == *name && v.is_empty_dir());
    ((number.is_empty() || numbered) && is_empty_dir).then(|| name.clone())
}

fn free_volume_name(pod: &Pod<'_>) -> String {
    let volumes = pod.spec.volumes.as_deref().unwrap_or_default();
    let taken: HashSet<&str> = volumes.iter().map(|volume| &*volume.name).collect();
    let numbered = (2..).map(|n| format!("{VOLUME}-{n}"));
    std::iter::once(VOLUME.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name.as_str()))
        .expect("a pod has fewer volumes than there are numbers")
}
