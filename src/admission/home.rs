//! The HOME rule.
//!
//! A job whose user has no passwd entry gets `HOME=/`, and dies with `could
//! not lock config file //.gitconfig`. The rule gives `build` and `helper` a
//! HOME they can write to: the path that `build` already names, or the
//! profile's, with an `emptyDir` mounted there.
//!
//! The job's author chooses that path (a CI variable called `HOME` arrives in
//! `build`'s `env`), and the API server accepts any string for it. So it is
//! checked here, and a volume is never mounted inside or around another.

use std::collections::HashSet;
use std::fmt;

use super::corrector::Corrector;
use super::job::{BUILD, Role};
use super::message::Refusal;
use super::pod::{Container, List, Place, Pod, VolumeMount};
use super::profile::Profile;
use super::text::{Text, quoted};

/// Name of the volume mounted at HOME, unless the pod already uses it.
pub const VOLUME: &str = "podseal-home";

/// What Podman's images have as HOME. A volume there would hide the image's
/// own `~/.config/containers`.
const PODMAN_IMAGE_HOME: &str = "/home/podman";

/// Directories under which no HOME is accepted: the kernel's, and those a
/// mount would empty of what the container needs to start.
const SYSTEM: [&str; 14] = [
    "/proc", "/sys", "/dev", "/etc", "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64",
    "/libx32", "/boot", "/run", "/var/run",
];

/// Directories whose subdirectories are fine for HOME, but which are not HOME
/// themselves: a mount would hide everything of the image below them.
const PARENTS: [&str; 5] = ["/", "/home", "/opt", "/var", "/var/lib"];

/// A path that may be HOME.
#[derive(Debug, PartialEq, Eq)]
pub enum HomePath {
    /// Absolute, normalised, without trailing slash.
    Mountable(String),
    /// `/home/podman` or below.
    OfPodmanImage,
}

/// Why a path may not be HOME.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Display tells each as a sentence")]
pub enum PathRefusal {
    NotAbsolute,
    NotNormalised,
    Character(char),
    TooLong,
    System(&'static str),
    Parent,
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathRefusal::NotAbsolute => f.write_str("is not an absolute path"),
            PathRefusal::NotNormalised => f.write_str(
                "has an empty, \".\" or \"..\" segment, so it is unclear where it leads",
            ),
            PathRefusal::Character('$') => f.write_str(
                "has a \"$\", which the kubelet would expand after the volume is mounted",
            ),
            PathRefusal::Character(':') => {
                f.write_str("has a \":\", which container runtimes split mount options at")
            }
            PathRefusal::Character(_) => f.write_str("has a control character"),
            PathRefusal::TooLong => {
                f.write_str("is longer than 512 bytes, or has a segment longer than 255")
            }
            PathRefusal::System(directory) => {
                write!(
                    f,
                    "is {directory} or in it, where a volume would break the container"
                )
            }
            PathRefusal::Parent => {
                f.write_str("is a directory whose content a volume would hide from the job")
            }
        }
    }
}

impl HomePath {
    /// Judges `path` as HOME, whoever chose it.
    pub fn parse(path: &str) -> Result<HomePath, PathRefusal> {
        if path.len() > 512 {
            return Err(PathRefusal::TooLong);
        }
        if let Some(c) = path
            .chars()
            .find(|&c| c == '$' || c == ':' || c.is_control())
        {
            return Err(PathRefusal::Character(c));
        }
        let Some(inner) = path.strip_prefix('/') else {
            return Err(PathRefusal::NotAbsolute);
        };
        if inner.is_empty() {
            return Err(PathRefusal::Parent);
        }
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        if trimmed[1..].split('/').any(|segment| segment.len() > 255) {
            return Err(PathRefusal::TooLong);
        }
        if trimmed[1..]
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(PathRefusal::NotNormalised);
        }
        if let Some(system) = SYSTEM
            .into_iter()
            .find(|system| is_at_or_under(trimmed, system))
        {
            return Err(PathRefusal::System(system));
        }
        if PARENTS.contains(&trimmed) {
            return Err(PathRefusal::Parent);
        }
        if is_at_or_under(trimmed, PODMAN_IMAGE_HOME) {
            return Ok(HomePath::OfPodmanImage);
        }
        Ok(HomePath::Mountable(trimmed.to_owned()))
    }
}

/// Applies the rule to every container whose role the profile asks it for.
pub(super) fn give_home<'a>(
    corrector: &mut Corrector<'a, '_>,
    profile: &'a Profile,
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
    let own = build.map_or(Ok(None), home_of)?;
    let (value, path) = match own {
        Some((value, HomePath::Mountable(path))) => (value, path),
        Some((_, HomePath::OfPodmanImage)) => {
            targets.retain(|&(role, ..)| role != Role::Build);
            profile_home(profile)
        }
        None => profile_home(profile),
    };
    for &(_, list, index) in &targets {
        corrector.set_env(list, index, "HOME", value.clone());
    }
    mount(corrector, &targets, &path, profile)
}

type Target = (Role, List, usize);

fn targets<'s>(pod: &'s Pod<'_>, profile: &'s Profile) -> impl Iterator<Item = Target> + 's {
    pod.containers().filter_map(|(place, container)| {
        let Place::Container(list, index) = place else {
            return None;
        };
        let role = Role::of(list, &container.name);
        profile
            .containers
            .role(role)
            .home
            .then_some((role, list, index))
    })
}

fn profile_home(profile: &Profile) -> (Text<'_>, String) {
    let path = profile.home.path.as_str();
    (path.into(), path.trim_end_matches('/').to_owned())
}

/// The HOME that `build` has by itself, as written and as a path.
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
        let problem = "comes from valueFrom, so where to mount a volume for it cannot be known";
        return Err(refuse(problem.to_owned()));
    }
    let value = var.value.clone().unwrap_or_default();
    match HomePath::parse(&value) {
        Ok(path) => Ok(Some((value, path))),
        Err(refusal) => Err(refuse(format!("{} {refusal}", quoted(&value)))),
    }
}

fn mount<'a>(
    corrector: &mut Corrector<'a, '_>,
    targets: &[Target],
    path: &str,
    profile: &'a Profile,
) -> Result<(), Refusal> {
    let mut uncovered = Vec::new();
    let mut volume = None;
    for &(_, list, index) in targets {
        let container = corrector.pod().container(list, index);
        volume = volume.or_else(|| our_volume_at(corrector.pod(), container, path));
        match cover(container, path)? {
            Cover::Mounted => {}
            Cover::Bare => uncovered.push((list, index)),
        }
    }
    if uncovered.is_empty() {
        return Ok(());
    }
    let volume = volume.unwrap_or_else(|| {
        let name = Text::from(free_volume_name(corrector.pod()));
        corrector.add_empty_dir(name.clone(), profile.home.size_limit.as_deref());
        name
    });
    for (list, index) in uncovered {
        corrector.add_mount(list, index, volume.clone(), path.to_owned().into());
    }
    Ok(())
}

enum Cover {
    /// HOME is, or lies in, something that is mounted already.
    Mounted,
    Bare,
}

fn cover(container: &Container<'_>, path: &str) -> Result<Cover, Refusal> {
    let mut inside = None;
    for mounted in container.mount_paths() {
        let normal = normalised(mounted);
        if is_at_or_under(path, &normal) {
            return Ok(Cover::Mounted);
        }
        if is_at_or_under(&normal, path) {
            inside = Some(mounted);
        }
    }
    let Some(mounted) = inside else {
        return Ok(Cover::Bare);
    };
    Err(Refusal {
        place: format!("container {}", quoted(&container.name)),
        field: "env HOME".to_owned(),
        problem: format!(
            "{} contains {}, where a volume is mounted already, and mounts must not nest",
            quoted(path),
            quoted(mounted),
        ),
        remedy: "set the job variable HOME to that path or to one apart from it".to_owned(),
    })
}

/// The volume of an earlier correction, which a container that another webhook
/// replaced since has lost. Only a volume that podseal could have added: its
/// name alone says little.
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

/// `path` as the kernel would resolve it without symbolic links.
fn normalised(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Whether `path` is `ancestor` or lies in it; both normalised.
fn is_at_or_under(path: &str, ancestor: &str) -> bool {
    match path.strip_prefix(ancestor) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || ancestor == "/",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_paths_people_use() {
        for path in [
            "/my_custom_dir",
            "/builds",
            "/root",
            "/tmp",
            "/home/me",
            "/opt/app/",
            "/usrx",
        ] {
            assert!(
                matches!(HomePath::parse(path), Ok(HomePath::Mountable(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn refuses_paths_that_would_break_the_container() {
        for path in [
            "",
            "home",
            "/",
            "//",
            "/a//b",
            "/a/../b",
            "/./a",
            "/a/..",
            "/proc",
            "/proc/1",
            "/sys/",
            "/dev/shm",
            "/etc",
            "/bin",
            "/usr/local",
            "/lib64/x",
            "/run/secrets",
            "/var/run/x",
            "/home",
            "/opt/",
            "/var",
            "/a:b",
            "/$HOME",
            "/a$$b",
            "/a\nb",
            "/a\0",
        ] {
            assert!(HomePath::parse(path).is_err(), "{path:?}");
        }
        assert!(HomePath::parse(&format!("/{}", "a".repeat(600))).is_err());
    }

    #[test]
    fn leaves_the_podman_images_home_alone() {
        for path in ["/home/podman", "/home/podman/", "/home/podman/.local"] {
            assert_eq!(HomePath::parse(path), Ok(HomePath::OfPodmanImage), "{path}");
        }
        assert!(matches!(
            HomePath::parse("/home/podman2"),
            Ok(HomePath::Mountable(_))
        ));
    }

    #[test]
    fn compares_mount_paths_as_the_kernel_resolves_them() {
        assert_eq!(normalised("/a/./b//../c/"), "/a/c");
        assert_eq!(normalised("/../.."), "/");
        assert!(is_at_or_under("/a/b", "/a") && is_at_or_under("/a", "/"));
        assert!(!is_at_or_under("/ab", "/a"));
    }
}
