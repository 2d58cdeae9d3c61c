//! podseal itself: what calls it, whether it runs, and what else touches pods.

use super::certificate;
use super::facts::{Facts, Release, is_podseals};
use super::finding::{Area, Finding, Severity, quote};
use super::look::Look;
use super::node_kind::version;
use super::objects::{Pod, Webhook, WebhookConfiguration, WebhookRule};
use admission::namespace::PROFILE;

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
    let kinds = [
        (
            "MutatingWebhookConfiguration",
            "mutate.podseal.io",
            &facts.mutating,
        ),
        (
            "ValidatingWebhookConfiguration",
            "validate.podseal.io",
            &facts.validating,
        ),
    ];
    let mut bundles = Vec::new();
    for (kind, webhook, configurations) in kinds {
        findings.extend(configuration(kind, webhook, configurations, &mut bundles));
    }
    if let Some(release) = &facts.release {
        findings.extend(replicas(release));
        bundles.dedup();
        findings.push(certificate::finding(release, &bundles));
        findings.push(guard(facts, release));
    }
    findings.extend(others(facts));
    findings
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
                        .fix("upgrade the cluster")
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

/// podseal's webhooks in the configurations of a kind. Adds their authorities to `bundles`.
fn configuration(
    kind: &str,
    name: &str,
    configurations: &Look<Vec<WebhookConfiguration>>,
    bundles: &mut Vec<String>,
) -> Vec<Finding> {
    if let Some(hidden) = configurations.hidden() {
        return vec![
            found(Severity::Unknown, "webhooks-hidden", kind, hidden)
                .page("docs/doctor.md#permissions"),
        ];
    }
    let configurations = configurations.seen().into_iter().flatten();
    let webhooks = configurations.flat_map(|own| own.webhooks.iter().map(move |w| (own, w)));
    let mut webhooks: Vec<_> = webhooks.filter(|(_, w)| w.name.ends_with(name)).collect();
    // The one for labels first; the others are for namespace rules.
    webhooks.sort_by_key(|(_, webhook)| webhook.name.len());
    let Some((own, main)) = webhooks.first() else {
        return vec![
            found(Severity::Error, "webhook-missing", kind, format!("none has the webhook {name}"))
                .why("the API server does not ask podseal, so labels have no effect")
                .fix("helm upgrade --install podseal charts/podseal --namespace podseal --create-namespace --wait")
                .page("docs/quick-start.md#2-install"),
        ];
    };
    let place = format!("{kind} {}", quote(&own.metadata.name));
    let mut findings: Vec<_> = webhooks
        .iter()
        .flat_map(|(_, webhook)| of_webhook(&place, webhook))
        .collect();
    if !main.namespace_selector.requires(PROFILE) {
        findings.push(
            found(Severity::Error, "webhook-selector", &place, format!("{name} is not for all namespaces with the label {PROFILE}"))
                .why("the API server does not ask podseal for pods of some labelled namespaces")
                .fix("helm upgrade podseal charts/podseal --namespace podseal --reset-then-reuse-values --wait")
                .page("docs/troubleshooting.md#the-job-is-not-corrected"),
        );
    }
    bundles.extend(
        webhooks
            .iter()
            .map(|(_, w)| w.client_config.ca_bundle.clone()),
    );
    if findings.is_empty() {
        let more = webhooks.len() - 1;
        let rules = match more {
            0 => String::new(),
            more => format!(", {more} more for namespace rules"),
        };
        let what = format!("{name}, failurePolicy Fail{rules}");
        findings.push(found(Severity::Ok, "webhooks", &place, what));
    }
    findings
}

fn of_webhook(place: &str, webhook: &Webhook) -> Vec<Finding> {
    let name = quote(&webhook.name);
    let mut findings = Vec::new();
    if webhook.failure_policy != "Fail" {
        let what = format!(
            "{name} has failurePolicy {}",
            quote(&webhook.failure_policy)
        );
        findings.push(
            found(Severity::Error, "failure-policy", place, what)
                .why("while podseal cannot be reached, pods are neither corrected nor checked")
                .fix("helm upgrade podseal charts/podseal --namespace podseal --reset-then-reuse-values --wait")
                .page("docs/security.md"),
        );
    }
    if webhook.client_config.ca_bundle.is_empty() {
        findings.push(
            found(Severity::Error, "ca-bundle-empty", place, format!("{name} has no caBundle"))
                .why("the API server trusts no certificate of podseal's, so labelled namespaces get no pods")
                .fix("kubectl logs --namespace podseal --selector app.kubernetes.io/component=webhook --tail 20")
                .page("docs/troubleshooting.md#podseal-was-not-asked"),
        );
    }
    if !webhook.is_for_pods() {
        findings.push(
            found(Severity::Error, "webhook-rules", place, format!("{name} is not called for new pods"))
                .fix("helm upgrade podseal charts/podseal --namespace podseal --reset-then-reuse-values --wait")
                .page("docs/security.md"),
        );
    }
    findings
}

fn replicas(release: &Release) -> Vec<Finding> {
    let Release {
        name, namespace, ..
    } = release;
    let place = format!("Deployment {}/{}", quote(namespace), quote(name));
    let deployment = match &release.deployment {
        Look::Seen(deployment) => deployment,
        Look::Absent => {
            return vec![
                found(Severity::Error, "deployment-missing", &place, "it does not exist, and the webhooks name its Service")
                    .why("labelled namespaces get no pods")
                    .fix("helm upgrade --install podseal charts/podseal --namespace podseal --create-namespace --wait")
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
        0 => vec![
            found(Severity::Error, "no-replica-ready", &place, what)
                .why("labelled namespaces get no pods")
                .fix(format!(
                    "kubectl describe pods,endpointslices --namespace {}",
                    quote(namespace)
                ))
                .page("docs/troubleshooting.md#podseal-does-not-start"),
        ],
        ready if ready < wanted => vec![
            found(Severity::Warning, "replica-not-ready", &place, what)
                .why("a node that goes may take the last one along")
                .fix(format!(
                    "kubectl describe pods --namespace {}",
                    quote(namespace)
                ))
                .page("docs/troubleshooting.md#podseal-does-not-start"),
        ],
        _ if images.len() > 1 => vec![
            found(Severity::Warning, "versions-differ", &place, what)
                .why("until a rollout ends, replicas may decide differently")
                .fix(format!(
                    "kubectl rollout status --namespace {} deployment/{}",
                    quote(namespace),
                    quote(name)
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
    let what = format!(
        "pod {}: {} {}",
        quote(&pod.metadata.name),
        quote(&because.reason),
        quote(&because.message)
    );
    let finding = found(Severity::Warning, "replica-waits", place, what.trim_end())
        .page("docs/troubleshooting.md#podseal-does-not-start");
    Some(finding)
}

fn guard(facts: &Facts, release: &Release) -> Finding {
    let name = format!("{}-guard", release.name);
    let place = format!("ValidatingAdmissionPolicy {}", quote(&name));
    match &facts.policies {
        Look::Seen(policies) if policies.iter().any(|policy| policy.metadata.name == name) => {
            found(Severity::Ok, "guard", &place, "reserves podseal's labels for those with the verb seal")
        }
        Look::Seen(_) | Look::Absent => found(Severity::Warning, "guard-missing", &place, "it does not exist")
            .why("anyone who can edit a namespace decides what its jobs are allowed to do")
            .fix("helm upgrade podseal charts/podseal --namespace podseal --reset-then-reuse-values --set namespaceGuard.enabled=true")
            .page("docs/security.md"),
        hidden => found(Severity::Unknown, "guard-hidden", &place, hidden.hidden().unwrap_or_default())
            .page("docs/doctor.md#permissions"),
    }
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
