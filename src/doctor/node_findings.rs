//! What is to be said of the nodes, besides the table.

use super::command::Command;
use super::facts::{Facts, JobNamespace};
use super::finding::{Area, Finding, Severity, quote};
use super::fitness::{DEVICE_PLUGIN, Fitness};
use super::look::Look;
use super::nodes::NodeTable;
use super::trial::{Outcome, Trial, is_of_trial};
use admission::namespace::policy::Policy;

/// The command that installs the chart's device plugin.
fn install_plugin(facts: &Facts) -> Command {
    let template = "kubectl create namespace fuse; kubectl label namespace fuse --overwrite pod-security.kubernetes.io/enforce=privileged && helm upgrade RELEASE charts/podseal --namespace NAMESPACE --reset-then-reuse-values --wait --set devicePlugin.enabled=true --set devicePlugin.namespace=fuse";
    match &facts.release {
        Some(release) => Command::new(template, &release.names()),
        None => Command::new(template, &[]),
    }
}

fn found(severity: Severity, id: &'static str, what: String) -> Finding {
    Finding::new(Area::Nodes, severity, id, "nodes", what)
}

/// What is to be said of them.
pub(super) fn findings(facts: &Facts, table: &NodeTable, trials: &[Trial]) -> Vec<Finding> {
    let mut findings = left_over(facts, trials);
    findings.extend(trials.iter().filter_map(not_tried));
    if let Some(hidden) = facts.nodes.hidden() {
        let finding = found(Severity::Unknown, "nodes-hidden", hidden)
            .why("which profile works is not known without their versions")
            .page("docs/doctor.md#permissions");
        findings.push(finding);
        return findings;
    }
    findings.extend(no_profile(facts, table));
    findings.extend(taints(facts, table));
    findings.extend(fuse(facts, table));
    findings.extend(kubelets(facts));
    findings
}

/// A pod that got to no build, though one was asked for.
fn not_tried(trial: &Trial) -> Option<Finding> {
    let Outcome::NotTried { message, .. } = &trial.outcome else {
        return None;
    };
    let place = format!("node {}", quote(&trial.node));
    let what = "nothing is known by --try: its pod did not get to build".to_owned();
    let finding = Finding::new(Area::Nodes, Severity::Unknown, "not-tried", place, what);
    Some(
        finding
            .quote("its pod", message)
            .page("docs/doctor.md#--try"),
    )
}

/// No profile works, but perhaps `privileged`.
fn no_profile(facts: &Facts, table: &NodeTable) -> Option<Finding> {
    if table.kinds.is_empty() || table.best.is_some() {
        return None;
    }
    let reasons = table.reasons();
    let why: Vec<_> = reasons
        .iter()
        .map(|(reason, (profile, _))| format!("{profile}: {reason}"))
        .collect();
    let what = "no profile but perhaps privileged works on those that jobs get to".to_owned();
    let finding = found(Severity::Warning, "no-profile", what).why(why.join("; "));
    let by_plugin = reasons.values().any(|(_, page)| *page == DEVICE_PLUGIN);
    Some(match reasons.values().next_back() {
        _ if by_plugin => finding.fix(install_plugin(facts)).page(DEVICE_PLUGIN),
        Some((_, page)) => finding.page((*page).clone()),
        None => finding.page("docs/which-profile.md"),
    })
}

/// Kinds that jobs do not get to.
fn taints(facts: &Facts, table: &NodeTable) -> Vec<Finding> {
    let kept_away = table.kinds.iter().filter_map(|row| {
        let taint = row.untolerated.as_ref()?;
        Some((row, taint))
    });
    let are_all = table.kinds.iter().all(|row| row.untolerated.is_some());
    let seen = facts.jobs.iter().flat_map(|job| job.pods.seen()).flatten();
    let by = match seen.filter(|pod| !is_of_trial(pod)).count() {
        0 => "no pod of a job is there to tell what jobs tolerate",
        _ => "no pod of a job that is there tolerates it",
    };
    let mut findings = Vec::new();
    for (row, taint) in kept_away {
        let nodes = match row.nodes.len() {
            1 => quote(&row.nodes[0]),
            count => format!("{} and {} more", quote(&row.nodes[0]), count - 1),
        };
        let what = format!("{nodes}: taint {taint}; {by}");
        let finding = match are_all {
            true => found(Severity::Warning, "taint", what)
                .why("jobs get to no node without a toleration; the best profile is that of all nodes")
                .advice("in config.toml, the runner's node_tolerations; to tell the doctor of them, --toleration")
                .page("docs/doctor.md#nodes-with-taints"),
            false => found(Severity::Ok, "taint", what),
        };
        findings.push(finding);
    }
    findings
}

/// Nodes without the resource of `root-fuse`, where a namespace uses that.
fn fuse(facts: &Facts, table: &NodeTable) -> Option<Finding> {
    let column = table.column("root-fuse");
    let no = column
        .iter()
        .filter(|(_, fitness)| matches!(fitness, Fitness::No { .. }));
    let without: usize = no.map(|(row, _)| row.nodes.len()).sum();
    let is_used = facts
        .jobs
        .iter()
        .any(|job| profile_of(job, facts).as_deref() == Some("root-fuse"));
    if without == 0 || !is_used {
        return None;
    }
    let what = format!("{without} without the resource that the profile root-fuse requests");
    let finding = found(Severity::Warning, "fuse-missing", what)
        .why("jobs stay Pending where no node offers it")
        .fix(install_plugin(facts))
        .page(DEVICE_PLUGIN);
    Some(finding)
}

fn kubelets(facts: &Facts) -> Option<Finding> {
    let mut kubelets = facts.kubelets.iter();
    let (node, look, hidden) =
        kubelets.find_map(|(node, configz)| Some((node, configz, configz.hidden()?)))?;
    let what = format!("seccompDefault of {}: {hidden}", quote(node));
    let finding = found(Severity::Unknown, "kubelet-hidden", what)
        .fix("podseal doctor --try IMAGE")
        .page("docs/doctor.md#permissions");
    Some(match look {
        Look::NotAllowed(_) => finding.why("nodes/proxy lets one execute commands in each pod of a node, so no role of podseal's has it"),
        _ => finding.why("whether it is on decides which profiles work"),
    })
}

/// Pods of trials that are still there: of this one, and of earlier ones.
fn left_over(facts: &Facts, trials: &[Trial]) -> Vec<Finding> {
    let of = |severity, namespace: &str, pod: &str, what: String| {
        let place = format!("pod {} of namespace {}", quote(pod), quote(namespace));
        let template = "kubectl delete pod POD --namespace NAMESPACE";
        let names = [("POD", pod), ("NAMESPACE", namespace)];
        Finding::new(Area::Nodes, severity, "trial-left", place, what)
            .why("it runs your jobs' image with what its profile grants")
            .fix(Command::new(template, &names))
            .page("docs/doctor.md#--try")
    };
    let own = trials.iter().filter_map(|trial| trial.left.as_ref());
    let mut findings: Vec<_> = own
        .map(|left| {
            let what = format!("--try could not delete it: {}", left.why);
            of(Severity::Error, &left.namespace, &left.pod, what)
        })
        .collect();
    for job in &facts.jobs {
        let pods = job.pods.seen().into_iter().flatten();
        for pod in pods.filter(|pod| is_of_trial(pod)) {
            let what = "an earlier --try left it, or one runs now".to_owned();
            let (namespace, name) = (&job.namespace.name, &pod.metadata.name);
            findings.push(of(Severity::Warning, namespace, name, what));
        }
    }
    findings
}

/// The profile of a namespace.
fn profile_of(job: &JobNamespace, facts: &Facts) -> Option<String> {
    let settings = facts.source.served().settings();
    let policy = Policy::from_namespace(&job.namespace, &settings)?;
    Some(policy.name.to_owned())
}
