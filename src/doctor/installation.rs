//! podseal itself: what calls it, whether it runs, and what else touches pods.

use super::command::Command;
use super::facts::{Facts, Release, is_podseals};
use super::finding::{Area, Finding, Severity, quote};
use super::look::Look;
use super::node_kind::version;
use super::objects::{Pod, Webhook, WebhookRule};
use super::{certificate, guard, webhooks};

/// The oldest API server whose webhooks have `matchConditions` in general availability.
const OLDEST: (u32, u32) = (1, 30);
/// How many names a finding lists.
const LISTED: usize = 10;

fn found(severity: Severity, id: &'static str, place: &str, what: impl Into<String>) -> Finding {
    Finding::new(Area::Installation, severity, id, place, what)
}

/// What is to be said of it.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![api_server(facts)];
    let mut bundles = Vec::new();
    for kind in webhooks::kinds(facts) {
        findings.extend(kind.findings(&mut bundles));
    }
    if let Some(release) = &facts.release {
        findings.extend(replicas(facts, release));
        bundles.dedup();
        findings.push(certificate::finding(release, &bundles));
        findings.push(guard::finding(facts, release));
    }
    findings.extend(others(facts));
    findings.extend(hidden(facts));
    findings
}

/// What else is not known.
fn hidden(facts: &Facts) -> impl Iterator<Item = Finding> {
    let pods = facts.release.as_ref();
    let pods = pods.and_then(|release| release.pods.hidden());
    let hidden = [
        ("replicas-hidden", "podseal's pods", pods),
        (
            "mutating-policies-hidden",
            "MutatingAdmissionPolicies",
            facts.mutating_policies.hidden(),
        ),
        (
            "openshift-hidden",
            "whether this is OpenShift",
            facts.openshift_hidden.clone(),
        ),
    ];
    hidden.into_iter().filter_map(|(id, place, hidden)| {
        let finding = found(Severity::Unknown, id, place, hidden?);
        Some(finding.page("docs/doctor.md#permissions"))
    })
}

fn api_server(facts: &Facts) -> Finding {
    match &facts.version {
        Look::Seen(seen) => {
            let text = quote(&seen.git_version);
            match version(text.trim_start_matches('v')) {
                Some(own) if own < OLDEST => {
                    let what = format!("{text}, and podseal needs 1.30 or later");
                    found(Severity::Error, "api-server-version", "API server", what)
                        .why("older ones do not know all fields of its webhooks")
                        .advice("upgrade the cluster")
                        .page("README.md#compatibility")
                }
                _ => found(Severity::Ok, "api-server-version", "API server", text),
            }
        }
        hidden => {
            let what = hidden.hidden().unwrap_or_else(|| "no version".to_owned());
            found(Severity::Unknown, "api-server-version", "API server", what)
        }
    }
}

fn replicas(facts: &Facts, release: &Release) -> Vec<Finding> {
    let Release {
        name, namespace, ..
    } = release;
    let place = format!("Deployment {}/{}", quote(namespace), quote(name));
    let deployment = match &release.deployment {
        Look::Seen(deployment) => deployment,
        Look::Absent => {
            return vec![
                found(
                    Severity::Error,
                    "deployment-missing",
                    &place,
                    "it does not exist, and the webhooks name its Service",
                )
                .why("labelled namespaces get no pods")
                .fix(webhooks::install(facts))
                .page("docs/operations.md#break-glass"),
            ];
        }
        hidden => {
            let what = hidden.hidden().unwrap_or_default();
            return vec![
                found(Severity::Unknown, "deployment-hidden", &place, what)
                    .page("docs/doctor.md#permissions"),
            ];
        }
    };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let ready = deployment.status.ready_replicas;
    let mut images: Vec<_> = release
        .pods
        .seen()
        .into_iter()
        .flatten()
        .filter_map(image)
        .collect();
    images.sort_unstable();
    images.dedup();
    let shown = match images.as_slice() {
        [] => String::new(),
        images => format!(
            ", {}",
            images
                .iter()
                .map(|i| quote(i))
                .collect::<Vec<_>>()
                .join(" and ")
        ),
    };
    let what = format!("{ready} of {wanted} replicas ready{shown}");
    let mut findings = match ready {
        _ if wanted == 0 => vec![
            found(Severity::Error, "no-replica-ready", &place, what)
                .why("labelled namespaces get no pods, as soon as the last replica has ended")
                .fix(Command::new(
                    "kubectl scale --namespace NAMESPACE deployment/DEPLOYMENT --replicas 2",
                    &[("NAMESPACE", namespace), ("DEPLOYMENT", name)],
                ))
                .page("docs/operations.md"),
        ],
        0 => vec![
            found(Severity::Error, "no-replica-ready", &place, what)
                .why("labelled namespaces get no pods")
                .fix(Command::new(
                    "kubectl describe pods,endpointslices --namespace NAMESPACE",
                    &release.names(),
                ))
                .page("docs/troubleshooting.md#podseal-does-not-start"),
        ],
        ready if ready < wanted => vec![
            found(Severity::Warning, "replica-not-ready", &place, what)
                .why("a node that goes may take the last one along")
                .fix(Command::new(
                    "kubectl describe pods --namespace NAMESPACE",
                    &release.names(),
                ))
                .page("docs/troubleshooting.md#podseal-does-not-start"),
        ],
        _ if images.len() > 1 => vec![
            found(Severity::Warning, "versions-differ", &place, what)
                .why("until a rollout ends, replicas may decide differently")
                .fix(Command::new(
                    "kubectl rollout status --namespace NAMESPACE deployment/DEPLOYMENT",
                    &[("NAMESPACE", namespace), ("DEPLOYMENT", name)],
                )),
        ],
        _ => vec![found(Severity::Ok, "replicas", &place, what)],
    };
    findings.extend(waiting(release, &place));
    findings
}

fn image(pod: &Pod) -> Option<&str> {
    Some(pod.spec.containers.first()?.image.as_str())
}

/// Why a replica does not run.
fn waiting(release: &Release, place: &str) -> Option<Finding> {
    let mut pods = release.pods.seen()?.iter();
    let (pod, because) = pods.find_map(|pod| {
        let mut statuses = pod.status.container_statuses.iter();
        Some((
            pod,
            statuses.find_map(|status| status.state.waiting.as_ref())?,
        ))
    })?;
    let (pod, reason) = (quote(&pod.metadata.name), quote(&because.reason));
    let what = format!("pod {pod} waits: {reason}");
    let mut finding = found(Severity::Warning, "replica-waits", place, what);
    if !because.message.is_empty() {
        finding = finding.quote("the kubelet", &because.message);
    }
    let finding = finding.page("docs/troubleshooting.md#podseal-does-not-start");
    Some(finding)
}

/// Others that change the same pods. The API server applies mutating policies first, and calls
/// configurations in the order of their names (Kubernetes, "Dynamic Admission Control", v1.37).
fn others(facts: &Facts) -> Option<Finding> {
    let configurations = facts.mutating.seen()?;
    let own = configurations.iter().find(|own| {
        own.webhooks
            .iter()
            .any(|webhook| is_podseals(&webhook.name))
    })?;
    let others = configurations.iter().filter(|other| {
        let webhooks = other.webhooks.iter();
        other.metadata.name != own.metadata.name && webhooks.clone().any(Webhook::is_for_pods)
    });
    let (before, after): (Vec<_>, Vec<_>) = others
        .map(|other| &other.metadata.name)
        .partition(|name| **name < own.metadata.name);
    let policies = facts.mutating_policies.seen().into_iter().flatten();
    let policies = policies.filter(|policy| {
        let mut rules = policy.spec.match_constraints.resource_rules.iter();
        rules.any(WebhookRule::is_for_pods)
    });
    let policies: Vec<_> = policies.map(|policy| &policy.metadata.name).collect();
    if before.is_empty() && after.is_empty() && policies.is_empty() {
        return None;
    }
    let listed = |names: &[&String]| {
        let shown: Vec<_> = names.iter().take(LISTED).map(|name| quote(name)).collect();
        match names.len().saturating_sub(LISTED) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    };
    let mut parts = Vec::new();
    if !policies.is_empty() {
        parts.push(format!(
            "before all webhooks the policies {}",
            listed(&policies)
        ));
    }
    if !before.is_empty() {
        parts.push(format!("before podseal {}", listed(&before)));
    }
    if !after.is_empty() {
        parts.push(format!("after it {}", listed(&after)));
    }
    let finding = found(
        Severity::Ok,
        "other-webhooks",
        "others that change pods",
        parts.join("; "),
    )
    .why("podseal is asked again when one of them changes the pod, and checks what comes out")
    .page("docs/injectors.md");
    Some(finding)
}
