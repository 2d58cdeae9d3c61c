//! What the script printed: lines `podseal-doctor KEY=VALUE`. The log is the user's image's,
//! so it can have anything.

use std::collections::BTreeMap;

use serde::Serialize;

/// What begins a line of the script's.
pub(super) const MARK: &str = "podseal-doctor ";
/// The longest value that is read.
const VALUE: usize = 256;

/// What the script read in the container `build`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// AppArmor's profile of the process is enforced.
    pub apparmor: bool,
    /// SELinux' type is the one that denies mounts.
    pub selinux: bool,
    /// A seccomp filter is in force.
    pub seccomp: bool,
    /// `user.max_user_namespaces` is 0.
    pub no_user_namespaces: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1, or
    /// `kernel.unprivileged_userns_clone` is 0.
    pub restricted_user_namespaces: bool,
    /// How the image has `newuidmap`.
    pub newuidmap: Newuidmap,
    /// `/etc/subuid` of the image has ids for uid 1000.
    pub subuid: bool,
    /// Parts of `/proc` are masked.
    pub masked_proc: bool,
    /// Whether the build ended, and passed; none while it did not end.
    pub built: Option<bool>,
}

/// How an image has `newuidmap`, which maps more than one uid for a user other than root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Newuidmap {
    /// With file capabilities, or where `getcap` is missing too, without setuid.
    #[default]
    Plain,
    /// With the setuid bit.
    Setuid,
    /// With neither.
    Bare,
    /// Not at all.
    None,
}

impl Observation {
    /// What `log` has of the script; none if it did not get that far.
    pub fn read(log: &str) -> Option<Observation> {
        let lines = log
            .lines()
            .filter_map(|line| line.trim_end().strip_prefix(MARK));
        let pairs = lines.filter_map(|line| line.split_once('='));
        let pairs = pairs.filter(|(_, value)| value.len() <= VALUE);
        let values: BTreeMap<_, _> = pairs.collect();
        let get = |key: &str| values.get(key).copied().unwrap_or_default();
        let label = values.get("attr")?;
        Some(Observation {
            apparmor: label.ends_with("(enforce)"),
            selinux: label.contains(":container_t:"),
            seccomp: get("seccomp") == "2",
            no_user_namespaces: get("max_user_namespaces") == "0",
            restricted_user_namespaces: get("apparmor_restrict") == "1"
                || get("userns_clone") == "0",
            newuidmap: match get("newuidmap") {
                "setuid" => Newuidmap::Setuid,
                "bare" => Newuidmap::Bare,
                "plain" => Newuidmap::Plain,
                _ => Newuidmap::None,
            },
            subuid: get("subuid") == "some",
            masked_proc: get("proc") == "masked",
            built: match get("build") {
                "ok" => Some(true),
                "failed" => Some(false),
                _ => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "\
podseal-doctor attr=unconfined
podseal-doctor seccomp=0
podseal-doctor max_user_namespaces=63000
podseal-doctor apparmor_restrict=none
podseal-doctor userns_clone=none
podseal-doctor newuidmap=plain
podseal-doctor subuid=some
podseal-doctor proc=masked
STEP 1/2: FROM scratch
podseal-doctor build=ok
";

    #[test]
    fn a_plain_node_is_read_as_one() {
        let expected = Observation {
            masked_proc: true,
            subuid: true,
            built: Some(true),
            ..Observation::default()
        };
        assert_eq!(Observation::read(PLAIN), Some(expected));
    }

    #[test]
    fn each_obstacle_is_read() {
        let of = |from: &str, to: &str| Observation::read(&PLAIN.replace(from, to)).expect("read");
        assert!(
            of(
                "attr=unconfined",
                "attr=cri-containerd.apparmor.d (enforce)"
            )
            .apparmor
        );
        assert!(
            of(
                "attr=unconfined",
                "attr=system_u:system_r:container_t:s0:c1,c2"
            )
            .selinux
        );
        assert!(
            !of(
                "attr=unconfined",
                "attr=system_u:system_r:container_engine_t:s0"
            )
            .selinux
        );
        assert!(of("seccomp=0", "seccomp=2").seccomp);
        assert!(of("max_user_namespaces=63000", "max_user_namespaces=0").no_user_namespaces);
        assert!(of("apparmor_restrict=none", "apparmor_restrict=1").restricted_user_namespaces);
        assert!(of("userns_clone=none", "userns_clone=0").restricted_user_namespaces);
        let newuidmap =
            |value: &str| of("newuidmap=plain", &format!("newuidmap={value}")).newuidmap;
        assert_eq!(newuidmap("setuid"), Newuidmap::Setuid);
        assert_eq!(newuidmap("bare"), Newuidmap::Bare);
        assert_eq!(newuidmap("none"), Newuidmap::None);
        assert!(!of("subuid=some", "subuid=none").subuid);
        assert_eq!(of("build=ok", "build=failed").built, Some(false));
        assert_eq!(of("podseal-doctor build=ok", "Killed").built, None);
    }

    #[test]
    fn another_log_is_no_observation() {
        assert_eq!(Observation::read("Error: cannot clone\nattr=x\n"), None);
        assert_eq!(Observation::read(""), None);
    }
}
