//! Which paths can be HOME.
//!
//! The API server accepts `/`, `a:b` and `..` as a mount path, and the pod fails
//! when it starts. So the path is checked here, whether a job or a profile sets it.

use std::borrow::Cow;
use std::fmt;

/// HOME in Podman's images. A volume there would hide the image's own
/// `~/.config/containers`.
const PODMAN_IMAGE_HOME: &str = "/home/podman";

/// Directories that HOME must not be or be in: the kernel's, and those whose files
/// the container needs to start, which a mount would hide.
const SYSTEM: [&str; 14] = [
    "/proc", "/sys", "/dev", "/etc", "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64",
    "/libx32", "/boot", "/run", "/var/run",
];

/// Directories whose subdirectories can be HOME, but which cannot themselves: a mount
/// would hide all of the image's files in them.
const PARENTS: [&str; 5] = ["/", "/home", "/opt", "/var", "/var/lib"];

/// A path that can be HOME.
#[derive(Debug, PartialEq, Eq)]
pub enum HomePath {
    /// Absolute, normalized, without a trailing slash.
    Mountable(String),
    /// `/home/podman` or in it.
    OfPodmanImage,
}

/// Why a path cannot be HOME.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Display explains each")]
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
    /// Checks whether `path` can be HOME.
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

/// `path` as the kernel would resolve it without symbolic links.
pub(crate) fn normalised(path: &str) -> Cow<'_, str> {
    let is_normal = |inner: &str| !inner.split('/').any(|part| matches!(part, "" | "." | ".."));
    if path.strip_prefix('/').is_some_and(is_normal) {
        return path.into();
    }
    // Without a list of its segments, which would need many times the path's memory.
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => normal.truncate(normal.rfind('/').unwrap_or_default()),
            segment => {
                normal.push('/');
                normal.push_str(segment);
            }
        }
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal.into()
}

/// Whether `path` is `ancestor` or in it; both normalized.
pub(crate) fn is_at_or_under(path: &str, ancestor: &str) -> bool {
    match path.strip_prefix(ancestor) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || ancestor == "/",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_common_paths() {
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
    fn recognizes_the_home_of_podmans_images() {
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
