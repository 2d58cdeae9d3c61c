//! podseal's webhooks, as the API server calls them, compared with the chart's.

use super::JOB_LABEL;
use super::command::Command;
use super::facts::{Facts, Release};
use super::finding::{Area, Finding, Severity, quote};
use super::look::Look;
use super::objects::{MatchCondition, Requirement, Selector, Webhook, WebhookConfiguration};
use admission::namespace::{PROFILE, is_clusters_own};

/// The label that the API server sets on each namespace.
const NAME: &str = "kubernetes.io/metadata.name";
/// The condition of the chart that keeps the cluster's own namespaces away.
const CLUSTERS_OWN: &str = "no-namespace-of-the-cluster";
/// The condition of the chart for updates.
const SPEC: (&str, &str) = (
    "changes-the-spec",
    "request.operation != 'UPDATE' || object.spec != oldObject.spec",
);
/// The conditions of the chart that namespace rules decide.
const OF_RULES: [&str; 2] = ["of-a-default-rule", "not-asked-about-already"];

/// Mutating or validating webhooks.
pub(super) struct Kind<'r> {
    kind: &'static str,
    name: &'static str,
    configurations: &'r Look<Vec<WebhookConfiguration>>,
    /// What one of them is called for.
    calls: &'static [(&'static str, &'static str)],
    facts: &'r Facts,
}

/// Both kinds.
pub(super) fn kinds(facts: &Facts) -> [Kind<'_>; 2] {
    [
        Kind {
            kind: "MutatingWebhookConfiguration",
            name: "mutate.podseal.io",
            configurations: &facts.mutating,
            calls: &[("CREATE", "pods")],
            facts,
        },
        Kind {
            kind: "ValidatingWebhookConfiguration",
            name: "validate.podseal.io",
            configurations: &facts.validating,
            calls: &[
                ("CREATE", "pods"),
                ("UPDATE", "pods"),
                ("UPDATE", "pods/ephemeralcontainers"),
            ],
            facts,
        },
    ]
}

impl Release {
    /// What stands for it in commands.
    pub(super) fn names(&self) -> [(&'static str, &str); 2] {
        [("RELEASE", &self.helm_name), ("NAMESPACE", &self.namespace)]
    }
}

/// The command that installs the chart, as it was before where that is known.
pub(super) fn install(facts: &Facts) -> Command {
    let template = "helm upgrade --install RELEASE charts/podseal --namespace NAMESPACE --create-namespace --wait";
    match &facts.release {
        Some(release) => Command::new(template, &release.names()),
        None => Command::new(
            template,
            &[("RELEASE", "podseal"), ("NAMESPACE", "podseal")],
        ),
    }
}

/// The command that sets what the chart sets.
fn upgrade(facts: &Facts) -> Command {
    let template = "helm upgrade RELEASE charts/podseal --namespace NAMESPACE --reset-then-reuse-values --wait";
    match &facts.release {
        Some(release) => Command::new(template, &release.names()),
        None => template.into(),
    }
}

/// The command that shows what podseal says.
pub(super) fn logs(release: Option<&Release>) -> Command {
    let template = "kubectl logs --namespace NAMESPACE --selector app.kubernetes.io/component=webhook --tail 20";
    match release {
        Some(release) => Command::new(template, &release.names()),
        None => template.into(),
    }
}

impl Kind<'_> {
    fn found(
        &self,
        severity: Severity,
        id: &'static str,
        place: &str,
        what: impl Into<String>,
    ) -> Finding {
        Finding::new(Area::Installation, severity, id, place, what)
    }

    /// What is to be said of them. Adds their authorities to `bundles`.
    pub(super) fn findings(&self, bundles: &mut Vec<String>) -> Vec<Finding> {
        let Kind { kind, name, .. } = *self;
        if let Some(hidden) = self.configurations.hidden() {
            return vec![
                self.found(Severity::Unknown, "webhooks-hidden", kind, hidden)
                    .page("docs/doctor.md#permissions"),
            ];
        }
        let configurations = self.configurations.seen().into_iter().flatten();
        let webhooks = configurations.flat_map(|own| own.webhooks.iter().map(move |w| (own, w)));
        let mut webhooks: Vec<_> = webhooks.filter(|(_, w)| w.name.ends_with(name)).collect();
        // The one for labels first; the others are for namespace rules.
        webhooks.sort_by_key(|(_, webhook)| webhook.name.len());
        let Some((own, main)) = webhooks.first() else {
            let what = format!("none has the webhook {name}");
            return vec![
                self.found(Severity::Error, "webhook-missing", kind, what)
                    .why("the API server does not ask podseal, so labels have no effect")
                    .fix(install(self.facts))
                    .page("docs/quick-start.md#2-install"),
            ];
        };
        let place = format!("{kind} {}", quote(&own.metadata.name));
        let webhooks_only = webhooks.iter().map(|(_, webhook)| *webhook);
        let mut findings: Vec<_> = webhooks_only
            .flat_map(|webhook| self.of_webhook(&place, webhook))
            .collect();
        findings.extend(self.namespaces(&place, main));
        let authorities = webhooks.iter().map(|(_, w)| &w.client_config.ca_bundle);
        bundles.extend(authorities.cloned());
        if findings.is_empty() {
            let rules = match webhooks.len() - 1 {
                0 => String::new(),
                more => format!(", {more} more for namespace rules"),
            };
            let what = format!("{name}, failurePolicy Fail{rules}");
            findings.push(self.found(Severity::Ok, "webhooks", &place, what));
        }
        findings
    }

    fn of_webhook(&self, place: &str, webhook: &Webhook) -> Vec<Finding> {
        let name = quote(&webhook.name);
        let mut findings = Vec::new();
        let upgrade = || upgrade(self.facts);
        if webhook.failure_policy != "Fail" {
            let policy = quote(&webhook.failure_policy);
            let what = format!("{name} has failurePolicy {policy}");
            findings.push(
                self.found(Severity::Error, "failure-policy", place, what)
                    .why("while podseal cannot be reached, pods are neither corrected nor checked")
                    .fix(upgrade())
                    .page("docs/security.md"),
            );
        }
        if webhook.client_config.ca_bundle.is_empty() {
            let what = format!("{name} has no caBundle");
            findings.push(
                self.found(Severity::Error, "ca-bundle-empty", place, what)
                    .why("the API server trusts no certificate of podseal's, so labelled namespaces get no pods")
                    .fix(logs(self.facts.release.as_ref()))
                    .page("docs/troubleshooting.md#podseal-was-not-asked"),
            );
        }
        let is_called = |(operation, resource): &(&str, &str)| {
            webhook
                .rules
                .iter()
                .any(|rule| rule.is_for(operation, resource))
        };
        let uncalled = self.calls.iter().find(|call| !is_called(call));
        if let Some((operation, resource)) = uncalled {
            let what = format!("{name} is not called for {operation} of {resource}");
            findings.push(
                self.found(Severity::Error, "webhook-rules", place, what)
                    .why("such requests are neither corrected nor checked")
                    .fix(upgrade())
                    .page("docs/security.md"),
            );
        }
        if !self.is_for_its_objects(&webhook.object_selector) {
            let what = format!("{name} has an objectSelector that the chart does not set");
            findings.push(
                self.found(Severity::Error, "webhook-selector", place, what)
                    .why("the API server does not ask podseal for some pods of labelled namespaces")
                    .fix(upgrade())
                    .page("docs/troubleshooting.md#the-job-is-not-corrected"),
            );
        }
        let mut conditions = webhook.match_conditions.iter();
        if let Some(own) = conditions.find(|own| !self.is_charts(own)) {
            let condition = quote(&own.name);
            let what =
                format!("{name} has a matchCondition {condition} that the chart does not set");
            findings.push(
                self.found(Severity::Warning, "webhook-conditions", place, what)
                    .why("the API server asks podseal only where it holds")
                    .quote(&format!("the condition {condition}"), &own.expression)
                    .fix(upgrade())
                    .page("docs/security.md"),
            );
        }
        findings
    }

    fn is_charts(&self, condition: &MatchCondition) -> bool {
        let (name, expression) = (condition.name.as_str(), condition.expression.trim());
        let own = self.facts.release.as_ref();
        let own = own.map_or("", |release| &release.namespace);
        let of_the_cluster = format!(
            "!request.namespace.startsWith('kube-') && \
             !request.namespace.startsWith('openshift-') && request.namespace != '{own}'"
        );
        (name, expression) == (CLUSTERS_OWN, &*of_the_cluster)
            || (name, expression) == SPEC
            || OF_RULES.contains(&name)
    }

    /// Whether a webhook with this selector is for all pods that it shall be for.
    fn is_for_its_objects(&self, selector: &Selector) -> bool {
        let is_jobs = |own: &Requirement| own.key == JOB_LABEL && own.operator == "Exists";
        let is_mutating = self.name.starts_with("mutate");
        let all_jobs = selector.match_expressions.iter().all(is_jobs) && is_mutating;
        selector.is_empty() || selector.match_labels.is_empty() && all_jobs
    }

    /// The webhook for labels must be called in each namespace that has podseal's, but for
    /// those that the chart's values exclude by name.
    fn namespaces(&self, place: &str, webhook: &Webhook) -> Option<Finding> {
        let selector = &webhook.namespace_selector;
        let requirements = || selector.match_expressions.iter();
        let has_label = |own: &Requirement| own.key == PROFILE && own.operator == "Exists";
        let is_by_name = |own: &Requirement| own.key == NAME && own.operator == "NotIn";
        let is_further = |own: &&Requirement| !has_label(own) && !is_by_name(own);
        let further = requirements().find(is_further).map(|own| &own.key);
        let further = further.or_else(|| selector.match_labels.keys().next());
        let names: Vec<_> = requirements()
            .filter(|own| is_by_name(own))
            .flat_map(|own| &own.values)
            .collect();
        let name = self.name;
        let what = if let Some(key) = further {
            format!(
                "the namespaceSelector of {name} also asks for the label {}",
                quote(key)
            )
        } else if !requirements().any(has_label) {
            format!("{name} is not for all namespaces with the label {PROFILE}")
        } else {
            let mut jobs = self.facts.jobs.iter().map(|job| &job.namespace);
            let own = self
                .facts
                .release
                .as_ref()
                .map(|release| &release.namespace);
            let excluded = jobs.find(|job| {
                // These are left alone whatever their labels.
                let is_left_alone = is_clusters_own(&job.name) || Some(&job.name) == own;
                job.opts_in() && names.contains(&&job.name) && !is_left_alone
            })?;
            let excluded = quote(&excluded.name);
            format!("{name} is not for the namespace {excluded}, which has the label {PROFILE}")
        };
        let finding = self
            .found(Severity::Error, "webhook-selector", place, what)
            .why("the API server does not ask podseal for pods of some labelled namespaces")
            .fix(upgrade(self.facts))
            .page("docs/troubleshooting.md#the-job-is-not-corrected");
        Some(finding)
    }
}
