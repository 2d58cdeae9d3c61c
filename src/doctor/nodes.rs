//! The nodes: which profiles work on which kind, and which is the best.

use serde::Serialize;

use super::facts::{Facts, JobNamespace};
use super::finding::{Area, Finding, Severity};
use super::fitness::{Around, Fitness, fitness};
use super::needs::Needs;
use super::node_kind::{NodeKind, Nodes};
use super::trial::Trial;
use admission::namespace::policy::Policy;

/// Built-in profiles in the order in which one takes the first that fits, as
/// `docs/which-profile.md` has it.
const PREFERRED: [&str; 5] = ["openshift", "userns", "rootless", "root", "root-fuse"];

/// Nodes × profiles.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTable {
    /// The names of the profiles.
    pub profiles: Vec<String>,
    /// The kinds of nodes.
    pub kinds: Vec<Row>,
}

/// A kind of nodes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The kind, in words.
    pub kind: String,
    /// The names of its nodes.
    pub nodes: Vec<String>,
    /// Whether each profile works there, in the order of the table's.
    pub profiles: Vec<Fitness>,
}

impl NodeTable {
    /// The table of a cluster, on which these pods were tried.
    pub fn of(facts: &Facts, trials: &[Trial]) -> NodeTable {
        let settings = facts.source.served().settings();
        let around = Around {
            is_openshift: facts.is_openshift,
        };
        let profiles = settings.profiles.iter();
        let profiles: Vec<_> = profiles
            .filter_map(|profile| Some((profile.name.clone(), Needs::of(profile, &settings)?)))
            .filter(|(_, needs)| needs.podman && (!needs.openshift || facts.is_openshift))
            .collect();
        let row = |nodes: Nodes| {
            let tried = trials
                .iter()
                .find(|trial| nodes.names.contains(&trial.node));
            let of =
                |(name, needs): &(String, Needs)| fitness(name, needs, &nodes.kind, around, tried);
            Row {
                kind: in_words(&nodes.kind),
                profiles: profiles.iter().map(of).collect(),
                nodes: nodes.names,
            }
        };
        let kinds = Nodes::by_kind(facts).into_iter().map(row).collect();
        NodeTable {
            profiles: profiles.into_iter().map(|(name, _)| name).collect(),
            kinds,
        }
    }

    /// Whether a profile works on each kind of node.
    pub fn column(&self, profile: &str) -> Option<impl Iterator<Item = (&Row, &Fitness)>> {
        let at = self.profiles.iter().position(|name| name == profile)?;
        Some(self.kinds.iter().map(move |row| (row, &row.profiles[at])))
    }

    /// Whether a profile works on no node.
    pub fn excludes(&self, profile: &str) -> bool {
        let column = self.column(profile);
        let all_no = |mut column: Box<dyn Iterator<Item = (&Row, &Fitness)> + '_>| {
            column.all(|(_, fitness)| matches!(fitness, Fitness::No(_)))
        };
        !self.kinds.is_empty() && column.is_some_and(|column| all_no(Box::new(column)))
    }

    /// The preferred profiles that nothing prevents on at least one kind of node.
    pub fn candidates(&self) -> Vec<&'static str> {
        let mut candidates = PREFERRED.to_vec();
        candidates.retain(|name| self.profiles.iter().any(|own| own == name));
        candidates.retain(|name| !self.excludes(name));
        candidates
    }
}

/// A kind, as a row of a table shows it.
fn in_words(kind: &NodeKind) -> String {
    let mut words = vec![
        format!("kubelet {}", kind.kubelet.trim_start_matches('v')),
        kind.runtime.replace("://", " "),
        format!("Linux {}", kind.kernel),
        kind.os.clone(),
    ];
    match kind.seccomp_default {
        Some(true) => words.push("seccompDefault on".to_owned()),
        Some(false) => words.push("seccompDefault off".to_owned()),
        None => {}
    }
    if !kind.taints.is_empty() {
        words.push(format!("taints {}", kind.taints.join(", ")));
    }
    words.join(", ")
}

/// What is to be said of the nodes.
pub(super) fn findings(facts: &Facts, table: &NodeTable) -> Vec<Finding> {
    let of = |severity, id, what: String| Finding::new(Area::Nodes, severity, id, "nodes", what);
    if let Some(hidden) = facts.nodes.hidden() {
        let finding = of(Severity::Unknown, "nodes-hidden", hidden)
            .why("which profile works is not known without their versions")
            .page("docs/doctor.md#permissions");
        return vec![finding];
    }
    let mut findings = Vec::new();
    let without_fuse = table.column("root-fuse").map(|column| {
        let no = column.filter(|(_, fitness)| matches!(fitness, Fitness::No(_)));
        no.map(|(row, _)| row.nodes.len()).sum::<usize>()
    });
    let uses_fuse = facts
        .jobs
        .iter()
        .any(|job| profile_of(job, facts).as_deref() == Some("root-fuse"));
    if let (Some(nodes @ 1..), true) = (without_fuse, uses_fuse) {
        let what = format!("{nodes} without the resource that the profile root-fuse requests");
        let finding = of(Severity::Warning, "fuse-missing", what)
            .why("jobs stay Pending where no node offers it")
            .fix("kubectl create namespace fuse; kubectl label namespace fuse --overwrite pod-security.kubernetes.io/enforce=privileged && helm upgrade podseal charts/podseal --namespace podseal --reset-then-reuse-values --wait --set devicePlugin.enabled=true --set devicePlugin.namespace=fuse")
            .page("docs/nodes.md#the-device-plugin");
        findings.push(finding);
    }
    if let Some((node, hidden)) = facts
        .kubelets
        .iter()
        .find_map(|(node, configz)| Some((node, configz.hidden()?)))
    {
        let what = format!("seccompDefault of {node}: {hidden}");
        let finding = of(Severity::Unknown, "kubelet-hidden", what)
            .why("nodes/proxy lets one execute commands in each pod of a node, so no role of podseal's has it")
            .fix("podseal doctor --try")
            .page("docs/doctor.md#permissions");
        findings.push(finding);
    }
    findings
}

/// The profile of a namespace.
pub(super) fn profile_of(job: &JobNamespace, facts: &Facts) -> Option<String> {
    let settings = facts.source.served().settings();
    let policy = Policy::from_namespace(&job.namespace, &settings)?;
    Some(policy.name.to_owned())
}
