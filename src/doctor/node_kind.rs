//! Kinds of nodes: those that differ in nothing that matters to a profile.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::finding::quote;
use super::objects::{Configz, Node, Taint};

/// What nodes have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKind {
    /// The kubelet's version.
    pub kubelet: String,
    /// The kernel's version.
    pub kernel: String,
    /// The runtime, and its version.
    pub runtime: String,
    /// The system's name and version.
    pub os: String,
    /// `linux`, or another.
    pub platform: String,
    /// Whether the runtime's default handler runs pods in user namespaces.
    pub user_namespaces: bool,
    /// Whether the kubelet gives containers the default seccomp profile, where that could
    /// be read.
    pub seccomp_default: Option<bool>,
    /// The extended resources that are offered.
    pub resources: Vec<String>,
    /// The taints that keep pods away, as `key=value:effect`.
    pub taints: Vec<String>,
}

/// Nodes of a kind.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// What they have in common.
    pub kind: NodeKind,
    /// Their names.
    pub names: Vec<String>,
    /// The taints of one of them.
    pub taints: Vec<Taint>,
}

impl Nodes {
    /// The nodes of a cluster by kind, the largest first.
    pub fn by_kind(facts: &Facts) -> Vec<Nodes> {
        let mut kinds: BTreeMap<NodeKind, Nodes> = BTreeMap::new();
        for node in facts.nodes.seen().into_iter().flatten() {
            let configz = facts
                .kubelets
                .iter()
                .find(|(name, _)| *name == node.metadata.name);
            let kind = NodeKind::of(node, configz.and_then(|(_, configz)| configz.seen()));
            let taints = repelling(node);
            let nodes = kinds.entry(kind.clone()).or_insert_with(|| Nodes {
                kind,
                names: Vec::new(),
                taints: taints.cloned().collect(),
            });
            nodes.names.push(node.metadata.name.clone());
        }
        let mut kinds: Vec<_> = kinds.into_values().collect();
        kinds.sort_by_key(|nodes| std::cmp::Reverse(nodes.names.len()));
        kinds
    }
}

/// The taints that keep pods away.
fn repelling(node: &Node) -> impl Iterator<Item = &Taint> {
    let taints = node.spec.taints.iter();
    taints.filter(|taint| taint.effect != "PreferNoSchedule")
}

impl NodeKind {
    fn of(node: &Node, configz: Option<&Configz>) -> NodeKind {
        let info = &node.status.node_info;
        let mut handlers = node.status.runtime_handlers.iter();
        let default = handlers.find(|handler| handler.name.is_empty());
        let offered = node.status.allocatable.iter();
        let offered = offered.filter(|(name, amount)| name.contains('/') && **amount != "0");
        let taint = |taint: &Taint| format!("{}={}:{}", taint.key, taint.value, taint.effect);
        NodeKind {
            kubelet: quote(&info.kubelet_version),
            kernel: quote(&info.kernel_version),
            runtime: quote(&info.container_runtime_version),
            os: quote(&info.os_image),
            platform: info.operating_system.clone(),
            user_namespaces: default.is_some_and(|handler| handler.features.user_namespaces),
            seccomp_default: configz
                .map(|configz| configz.kubeletconfig.seccomp_default.unwrap_or_default()),
            resources: offered.map(|(name, _)| name.clone()).collect(),
            taints: repelling(node).map(taint).collect(),
        }
    }

    /// The kernel's version, such as `(6, 18)`.
    pub fn kernel_version(&self) -> Option<(u32, u32)> {
        version(&self.kernel)
    }

    /// The kubelet's version, such as `(1, 37)`.
    pub fn kubelet_version(&self) -> Option<(u32, u32)> {
        version(self.kubelet.trim_start_matches('v'))
    }

    /// What this system is known to have.
    pub fn known(&self) -> Known {
        let found = KNOWN.iter().find(|(name, _)| self.os.contains(name));
        found.map(|(_, known)| *known).unwrap_or_default()
    }
}

/// Major and minor of a version such as `6.18.0-1-amd64`.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What a system has by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
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
const UBUNTU: Known = Known {
    restricted_user_namespaces: true,
    ..APPARMOR
};

/// Systems by what their name contains; the first applies. From their documentation, as
/// `docs/nodes.md` says; `podseal doctor --try` measures it.
const KNOWN: [(&str, Known); 19] = [
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
    ("openSUSE", APPARMOR),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whatever_follows_them() {
        assert_eq!(version("6.18.0-1-amd64"), Some((6, 18)));
        assert_eq!(version("1.33+k3s1"), Some((1, 33)));
        assert_eq!(version("5"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn a_system_is_known_by_its_name_and_version() {
        let of = |os: &str| {
            let kind = NodeKind {
                os: os.to_owned(),
                ..NodeKind::of(&Node::default(), None)
            };
            kind.known()
        };
        assert!(of("Ubuntu 24.04.1 LTS").restricted_user_namespaces);
        assert!(!of("Ubuntu 22.04.5 LTS").restricted_user_namespaces);
        assert!(of("Bottlerocket OS 1.20.0 (aws-k8s-1.30)").no_user_namespaces);
        assert!(of("Talos (v1.8.0)").seccomp_default);
        assert_eq!(of("Wolfi"), Known::default());
    }
}
