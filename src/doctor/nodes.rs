//! The nodes: which profiles work on which kind, and which is the best.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::command::Command;
use super::facts::Facts;
use super::fitness::{Around, DEVICE_PLUGIN, Fitness, fitness};
use super::needs::Needs;
use super::node_kind::{NodeKind, Nodes};
use super::objects::Toleration;
use super::toleration::{self, untolerated};
use super::trial::{Trial, is_of_trial};

/// Built-in profiles in the order in which one takes the first that fits, as
/// `docs/which-profile.md` has it.
pub(super) const PREFERRED: [&str; 5] = ["openshift", "userns", "rootless", "root", "root-fuse"];

/// Nodes × profiles.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeTable {
    /// The names of the profiles.
    pub profiles: Vec<String>,
    /// The kinds of nodes.
    pub kinds: Vec<Row>,
    /// Whether pods were tried, with an image.
    #[serde(skip)]
    pub is_tried: bool,
    /// The profile to take; none if each works on no node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// A kind of nodes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The kind, in words.
    pub kind: String,
    /// The names of its nodes.
    pub nodes: Vec<String>,
    /// The first taint that jobs do not tolerate, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untolerated: Option<String>,
    /// The extended resources that profiles request, with the smallest number of a node.
    pub resources: BTreeMap<String, u64>,
    /// Whether each profile works there, in the order of the table's.
    pub profiles: Vec<Fitness>,
}

/// A profile, and on how many of the nodes that jobs get to it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Best {
    /// Its name.
    pub profile: &'static str,
    /// How many nodes jobs get to.
    pub nodes: usize,
    /// On how many of them it works for certain.
    pub works: usize,
    /// On how many a job would have to be tried.
    pub unknown: usize,
    /// The command that lets a namespace use it.
    pub command: Command,
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
        let tolerations = tolerations(facts);
        let row = |nodes: Nodes| {
            let tried = trials
                .iter()
                .find(|trial| nodes.names.contains(&trial.node));
            let of =
                |(name, needs): &(String, Needs)| fitness(name, needs, &nodes.kind, around, tried);
            Row {
                kind: in_words(&nodes),
                untolerated: untolerated(&nodes.taints, &tolerations).map(toleration::in_words),
                profiles: profiles.iter().map(of).collect(),
                resources: nodes.devices,
                nodes: nodes.names,
            }
        };
        let kinds = Nodes::by_kind(facts).into_iter().map(row).collect();
        let mut table = NodeTable {
            profiles: profiles.into_iter().map(|(name, _)| name).collect(),
            kinds,
            is_tried: !trials.is_empty(),
            best: None,
        };
        table.best = table.ranked().into_iter().next();
        if let (Some(best), [job]) = (&mut table.best, facts.jobs.as_slice()) {
            best.command = relabel(&job.namespace.name, best.profile);
        }
        table
    }

    /// The kinds that jobs get to; all, if none is known.
    pub fn reached(&self) -> Vec<&Row> {
        let is_reached = |row: &&Row| row.untolerated.is_none();
        let reached: Vec<_> = self.kinds.iter().filter(is_reached).collect();
        match reached.is_empty() {
            true => self.kinds.iter().collect(),
            false => reached,
        }
    }

    /// Whether a profile works on each of the kinds that jobs get to.
    pub(super) fn column(&self, profile: &str) -> Vec<(&Row, &Fitness)> {
        let at = self.profiles.iter().position(|name| name == profile);
        let rows = at.map(|at| {
            self.reached()
                .into_iter()
                .map(move |row| (row, &row.profiles[at]))
        });
        rows.into_iter().flatten().collect()
    }

    /// Whether a profile works on no node that jobs get to.
    pub fn excludes(&self, profile: &str) -> bool {
        let column = self.column(profile);
        let mut fits = column.iter().map(|(_, fitness)| fitness);
        !column.is_empty() && fits.all(|fitness| matches!(fitness, Fitness::No { .. }))
    }

    /// Why the scheduler puts no pod with a profile on a node: it has no such device.
    pub(super) fn unschedulable(&self, profile: &str, node: &str) -> Option<&str> {
        let at = self.profiles.iter().position(|name| name == profile)?;
        let mut rows = self.kinds.iter();
        let row = rows.find(|row| row.nodes.iter().any(|name| name == node))?;
        match &row.profiles[at] {
            Fitness::No { reason, page } if *page == DEVICE_PLUGIN => Some(reason),
            _ => None,
        }
    }

    /// Whether a profile works on none of them for want of a device.
    pub(super) fn lacks_device(&self, profile: &str) -> bool {
        let column = self.column(profile);
        let is_so = |fitness: &Fitness| matches!(fitness, Fitness::No { page, .. } if *page == DEVICE_PLUGIN);
        self.excludes(profile) && column.iter().any(|(_, fitness)| is_so(fitness))
    }

    /// The preferred profiles that nothing prevents on each node that jobs get to, the best
    /// first.
    pub fn candidates(&self) -> Vec<&'static str> {
        let ranked = self.ranked().into_iter();
        ranked.map(|best| best.profile).collect()
    }

    /// First what excludes the fewest nodes, then what is proven on the most, then as
    /// preferred.
    fn ranked(&self) -> Vec<Best> {
        let known = PREFERRED.into_iter();
        let known = known.filter(|name| self.profiles.iter().any(|own| own == name));
        let possible = known.filter(|name| !self.excludes(name));
        let mut ranked: Vec<_> = possible.map(|name| self.best_of(name)).collect();
        ranked.sort_by_key(|best| (best.nodes - best.works - best.unknown, best.unknown));
        ranked
    }

    fn best_of(&self, profile: &'static str) -> Best {
        let column = self.column(profile);
        let count = |is: fn(&Fitness) -> bool| {
            let rows = column.iter().filter(|(_, fitness)| is(fitness));
            rows.map(|(row, _)| row.nodes.len()).sum()
        };
        Best {
            profile,
            nodes: count(|_| true),
            works: count(|fitness| matches!(fitness, Fitness::Yes)),
            unknown: count(|fitness| matches!(fitness, Fitness::Unknown { .. })),
            command: relabel("", profile),
        }
    }

    /// The reasons why the preferred profiles do not work, and the pages to change it.
    pub(super) fn reasons(&self) -> BTreeMap<&str, (&'static str, &Cow<'static, str>)> {
        let mut reasons = BTreeMap::new();
        for profile in PREFERRED {
            for (_, fitness) in self.column(profile) {
                if let Fitness::No { reason, page } = fitness {
                    reasons.entry(reason.as_str()).or_insert((profile, page));
                }
            }
        }
        reasons
    }
}

/// The command that lets a namespace use a profile.
pub(super) fn relabel(namespace: &str, profile: &str) -> Command {
    let template = "kubectl label namespace NAMESPACE --overwrite podseal.io/profile=PROFILE";
    Command::new(template, &[("NAMESPACE", namespace), ("PROFILE", profile)])
}

/// What jobs tolerate: as the user says, and as pods of jobs do. Their creators may be
/// anyone, so this only orders what is shown.
fn tolerations(facts: &Facts) -> Vec<Toleration> {
    let pods = facts.jobs.iter().flat_map(|job| job.pods.seen());
    let pods = pods.flatten().filter(|pod| !is_of_trial(pod));
    let of_pods = pods.flat_map(|pod| &pod.spec.tolerations);
    facts.tolerations.iter().chain(of_pods).cloned().collect()
}

/// A kind, as a row of a table shows it.
fn in_words(nodes: &Nodes) -> String {
    let kind: &NodeKind = &nodes.kind;
    let mut words = vec![
        format!("kubelet {}", kind.kubelet.trim_start_matches('v')),
        kind.runtime.replace("://", " "),
        format!("Linux {}", kind.kernel),
        kind.os.clone(),
    ];
    if let Some(is_on) = kind.seccomp_default {
        let value = if is_on { "on" } else { "off" };
        let some = match nodes.names.len() {
            count if nodes.asked < count => format!(" on the {} asked", nodes.asked),
            _ => String::new(),
        };
        words.push(format!("seccompDefault {value}{some}"));
    }
    if !kind.user_namespaces && !kind.handlers.is_empty() {
        let handlers = kind.handlers.join(", ");
        words.push(format!("user namespaces only by the handlers {handlers}"));
    }
    let devices = nodes.devices.iter();
    words.extend(devices.map(|(name, count)| format!("{name} {count}")));
    if !kind.taints.is_empty() {
        words.push(format!("taints {}", kind.taints.join(", ")));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(nodes: usize, untolerated: Option<&str>, marks: &str) -> Row {
        let fitness = |mark| match mark {
            '+' => Fitness::Yes,
            '-' => Fitness::no("it is old", "docs/nodes.md"),
            _ => Fitness::unknown("who knows"),
        };
        Row {
            kind: "a kind".to_owned(),
            nodes: (0..nodes).map(|number| format!("n{number}")).collect(),
            untolerated: untolerated.map(str::to_owned),
            resources: BTreeMap::new(),
            profiles: marks.chars().map(fitness).collect(),
        }
    }

    /// Which is the best of userns, rootless and root on these kinds.
    fn best(kinds: Vec<Row>) -> Option<Best> {
        let profiles = ["userns", "rootless", "root"];
        let table = NodeTable {
            profiles: profiles.map(str::to_owned).into(),
            kinds,
            is_tried: false,
            best: None,
        };
        table.ranked().into_iter().next()
    }

    #[test]
    fn the_best_is_that_of_the_nodes_that_jobs_get_to() {
        let tainted = "node-role.kubernetes.io/control-plane:NoSchedule";
        let found = best(vec![row(5, None, "-??"), row(1, Some(tainted), "???")]);
        let rootless = Best {
            profile: "rootless",
            nodes: 5,
            works: 0,
            unknown: 5,
            command: relabel("", "rootless"),
        };
        assert_eq!(found, Some(rootless));
        // Where no job gets to, as far as is known, all count.
        let found = best(vec![row(1, Some(tainted), "??-")]);
        assert_eq!(found.map(|best| best.profile), Some("userns"));
    }

    #[test]
    fn what_is_proven_goes_before_what_is_not_and_fewer_exclusions_before_both() {
        let profile = |kinds| best(kinds).map(|best| best.profile);
        assert_eq!(profile(vec![row(3, None, "??+")]), Some("root"));
        assert_eq!(profile(vec![row(3, None, "???")]), Some("userns"));
        let kinds = vec![row(95, None, "+?+"), row(5, None, "-?-")];
        assert_eq!(profile(kinds), Some("rootless"));
        assert_eq!(profile(vec![row(3, None, "---")]), None);
    }
}
