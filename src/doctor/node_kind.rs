//! Kinds of nodes: those that differ in nothing that matters to a profile.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::facts::Facts;
use super::finding::quote;
use super::job;
use super::needs::Needs;
use super::objects::{Node, Taint};
use super::toleration::in_words;

/// Prefixes of taints that come and go with a node's state, and part no kinds.
const PASSING: [&str; 5] = [
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
    "karpenter.sh/disrupted",
];

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
    /// The other handlers that do.
    pub handlers: Vec<String>,
    /// Whether the kubelet gives containers the default seccomp profile, where that could
    /// be read.
    pub seccomp_default: Option<bool>,
    /// The extended resources that are offered, of those that profiles request.
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
    /// The taints of the kind.
    pub taints: Vec<Taint>,
    /// The first that takes pods now.
    pub usable: Option<String>,
    /// The extended resources, with the smallest number of one of the nodes.
    pub devices: BTreeMap<String, u64>,
    /// How many kubelets told whether `seccompDefault` is on.
    pub asked: usize,
}

impl Nodes {
    /// The nodes of a cluster by kind, the largest first.
    pub fn by_kind(facts: &Facts) -> Vec<Nodes> {
        let requested = requested(facts);
        let told: BTreeMap<_, _> = facts
            .kubelets
            .iter()
            .filter_map(|(name, configz)| Some((name.as_str(), configz.seen()?)))
            .map(|(name, configz)| (name, configz.kubeletconfig.seccomp_default.unwrap_or(false)))
            .collect();
        let mut groups: BTreeMap<NodeKind, Vec<&Node>> = BTreeMap::new();
        for node in facts.nodes.seen().into_iter().flatten() {
            let kind = NodeKind::of(node, &requested);
            groups.entry(kind).or_default().push(node);
        }
        let mut kinds = Vec::new();
        for (kind, nodes) in groups {
            let answer = |node: &&Node| told.get(node.metadata.name.as_str()).copied();
            let answers: BTreeSet<_> = nodes.iter().filter_map(answer).collect();
            // Nodes that were not asked are like those of their kind that were, if these agree.
            match answers.len() {
                0 | 1 => kinds.push(Nodes::new(&kind, answers.first().copied(), &nodes, &told)),
                _ => {
                    for value in [Some(true), Some(false), None] {
                        let mut part = nodes.clone();
                        part.retain(|node| answer(node) == value);
                        if !part.is_empty() {
                            kinds.push(Nodes::new(&kind, value, &part, &told));
                        }
                    }
                }
            }
        }
        kinds.sort_by_key(|nodes| std::cmp::Reverse(nodes.names.len()));
        kinds
    }

    fn new(
        kind: &NodeKind,
        seccomp_default: Option<bool>,
        nodes: &[&Node],
        told: &BTreeMap<&str, bool>,
    ) -> Nodes {
        let name = |node: &&Node| node.metadata.name.clone();
        let least = |resource: &String| {
            let numbers = nodes.iter().map(|node| number(node, resource));
            (resource.clone(), numbers.min().unwrap_or_default())
        };
        let first = nodes.first();
        Nodes {
            kind: NodeKind {
                seccomp_default,
                ..kind.clone()
            },
            names: nodes.iter().map(name).collect(),
            taints: first
                .map(|node| lasting(node).cloned().collect())
                .unwrap_or_default(),
            usable: nodes.iter().find(|node| is_usable(node)).map(name),
            devices: kind.resources.iter().map(least).collect(),
            asked: nodes
                .iter()
                .filter(|node| told.contains_key(node.metadata.name.as_str()))
                .count(),
        }
    }
}

/// The extended resources that the profiles request, or jobs of a namespace.
fn requested(facts: &Facts) -> BTreeSet<String> {
    let settings = facts.source.served().settings();
    let profiles = settings.profiles.iter();
    let profiles = profiles.filter_map(|profile| Needs::of(profile, &settings));
    let jobs = facts.jobs.iter();
    let jobs = jobs.filter_map(|job| job::corrected(&job.namespace, &settings).ok());
    let needs = profiles.chain(jobs.map(|pod| Needs::of_pod(&pod)));
    needs.flat_map(|needs| needs.resources).collect()
}

/// The taints that keep pods away for good.
fn lasting(node: &Node) -> impl Iterator<Item = &Taint> {
    repelling(node).filter(|taint| !is_passing(taint))
}

fn repelling(node: &Node) -> impl Iterator<Item = &Taint> {
    let taints = node.spec.taints.iter();
    taints.filter(|taint| taint.effect != "PreferNoSchedule")
}

fn is_passing(taint: &Taint) -> bool {
    PASSING.iter().any(|prefix| taint.key.starts_with(prefix))
}

/// Whether a node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.conditions.iter();
    // A kubelet that never reported has none; the taints say so.
    conditions.all(|condition| condition.r#type != "Ready" || condition.status == "True")
}

/// Whether a node takes pods now that tolerate the lasting taints.
fn is_usable(node: &Node) -> bool {
    is_ready(node) && !node.spec.unschedulable && !repelling(node).any(is_passing)
}

/// How many of an extended resource a node offers.
fn number(node: &Node, resource: &str) -> u64 {
    let amount = node.status.allocatable.get(resource);
    let amount = amount.and_then(|amount| match amount {
        // Kubernetes writes 1000 as 1k.
        Value::String(text) => match text.strip_suffix('k') {
            Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1000),
            None => text.parse().ok(),
        },
        number => number.as_u64(),
    });
    amount.unwrap_or_default()
}

impl NodeKind {
    /// The kind of a node, but for what its kubelet says.
    pub(super) fn of(node: &Node, requested: &BTreeSet<String>) -> NodeKind {
        let info = &node.status.node_info;
        let handlers = node.status.runtime_handlers.iter();
        let handlers = handlers.filter(|handler| handler.features.user_namespaces);
        let (default, others): (Vec<_>, Vec<_>) =
            handlers.partition(|handler| handler.name.is_empty());
        let offered = requested.iter().filter(|name| number(node, name) > 0);
        let mut taints: Vec<_> = lasting(node).map(in_words).collect();
        taints.sort();
        NodeKind {
            kubelet: quote(&info.kubelet_version),
            kernel: quote(&info.kernel_version),
            runtime: quote(&info.container_runtime_version),
            os: quote(&info.os_image),
            platform: info.operating_system.clone(),
            user_namespaces: !default.is_empty(),
            handlers: others.iter().map(|handler| quote(&handler.name)).collect(),
            seccomp_default: None,
            resources: offered.cloned().collect(),
            taints,
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
}

/// Major and minor of a version such as `6.18.0-1-amd64`.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

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
    fn what_passes_and_what_no_profile_requests_part_no_kinds() {
        let node = |taint: &str, resource: &str| {
            let node = serde_json::json!({
                "spec": {"taints": [{"key": taint, "value": "1700000000", "effect": "NoSchedule"}]},
                "status": {"allocatable": {resource: "7"}},
            });
            serde_json::from_value::<Node>(node).expect("a node")
        };
        let requested = BTreeSet::from(["github.com/fuse".to_owned()]);
        let of = |node: &Node| NodeKind::of(node, &requested);
        let leaves = node("ToBeDeletedByClusterAutoscaler", "nvidia.com/gpu");
        assert_eq!(of(&leaves), of(&Node::default()));
        assert!(!is_usable(&leaves) && is_usable(&Node::default()));
        let ours = node("dedicated", "github.com/fuse");
        assert_eq!(of(&ours).taints, ["dedicated=1700000000:NoSchedule"]);
        assert_eq!(of(&ours).resources, ["github.com/fuse"]);
        assert!(is_usable(&ours));
    }
}
