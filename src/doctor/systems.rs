//! What systems are known for, by their names and their kernels' versions.

/// What a system has by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// AppArmor, whose default profile for containers denies mounts.
    pub apparmor: bool,
    /// SELinux, whose default type for containers denies mounts.
    pub selinux: bool,
    /// `user.max_user_namespaces` is 0.
    pub no_user_namespaces: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1.
    pub restricted_user_namespaces: bool,
    /// The kubelet's `seccompDefault` is on.
    pub seccomp_default: bool,
}

const NOTHING: Known = Known {
    apparmor: false,
    selinux: false,
    no_user_namespaces: false,
    restricted_user_namespaces: false,
    seccomp_default: false,
};
const APPARMOR: Known = Known {
    apparmor: true,
    ..NOTHING
};
const SELINUX: Known = Known {
    selinux: true,
    ..NOTHING
};
const EITHER: Known = Known {
    selinux: true,
    ..APPARMOR
};
const UBUNTU: Known = Known {
    restricted_user_namespaces: true,
    ..APPARMOR
};

/// Systems by what their name contains; the first applies. From their documentation, as
/// `docs/nodes.md` says; `podseal doctor --try` measures it.
const KNOWN: [(&str, Known); 24] = [
    (
        "Bottlerocket",
        Known {
            no_user_namespaces: true,
            ..SELINUX
        },
    ),
    (
        "Talos",
        Known {
            no_user_namespaces: true,
            seccomp_default: true,
            ..NOTHING
        },
    ),
    ("Ubuntu 20.04", APPARMOR),
    ("Ubuntu 22.04", APPARMOR),
    ("Ubuntu Core 22", APPARMOR),
    // Since 23.10, and by default since 24.04.
    ("Ubuntu", UBUNTU),
    ("Container-Optimized OS", APPARMOR),
    ("Debian", APPARMOR),
    ("openSUSE MicroOS", SELINUX),
    ("openSUSE Leap 16", SELINUX),
    // SELinux since February 2025, and AppArmor where it was installed before.
    ("openSUSE Tumbleweed", EITHER),
    ("openSUSE", APPARMOR),
    ("SUSE Linux Enterprise Micro", SELINUX),
    ("SUSE Linux Enterprise Server 16", SELINUX),
    ("SUSE Linux Enterprise", APPARMOR),
    ("Flatcar", SELINUX),
    ("Amazon Linux", SELINUX),
    ("Fedora", SELINUX),
    ("Red Hat", SELINUX),
    ("CentOS", SELINUX),
    ("Rocky Linux", SELINUX),
    ("AlmaLinux", SELINUX),
    ("Oracle Linux", SELINUX),
    ("Azure Linux", NOTHING),
];

/// What the system called `os` is known to have.
pub(super) fn known(os: &str) -> Known {
    let found = KNOWN.iter().find(|(name, _)| os.contains(name));
    found.map(|(_, known)| *known).unwrap_or_default()
}

/// Whether a kernel older than 5.13 may mount overlays in user namespaces all the same: Ubuntu's
/// always could, and RHEL's can since 8.5.
pub(super) fn may_have_overlay(os: &str, kernel: &str) -> bool {
    os.contains("Ubuntu") || kernel.contains(".el8")
}

/// Whether a kernel older than 6.3 may have what pods in user namespaces take: OpenShift runs
/// them on RHEL 9's, whose version is 5.14.
pub(super) fn may_have_pod_user_namespaces(kernel: &str) -> bool {
    kernel.contains(".el9")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_its_name_and_version() {
        assert!(known("Ubuntu 24.04.1 LTS").restricted_user_namespaces);
        assert!(!known("Ubuntu 22.04.5 LTS").restricted_user_namespaces);
        assert!(known("Bottlerocket OS 1.20.0 (aws-k8s-1.30)").no_user_namespaces);
        assert!(known("Talos (v1.8.0)").seccomp_default);
        assert_eq!(known("Wolfi"), Known::default());
    }

    #[test]
    fn the_newer_systems_of_suse_have_selinux() {
        for os in [
            "openSUSE MicroOS",
            "openSUSE Tumbleweed",
            "openSUSE Leap 16.0",
            "SUSE Linux Enterprise Server 16.0",
        ] {
            assert!(known(os).selinux, "{os}");
        }
        let leap = known("openSUSE Leap 15.6");
        assert!(leap.apparmor && !leap.selinux);
    }
}
