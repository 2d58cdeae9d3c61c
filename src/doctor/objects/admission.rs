//! What calls and changes: configurations of webhooks, and admission policies.

use serde::Deserialize;

use super::{Metadata, Selector, or_default};

object! {
    /// A configuration of webhooks, mutating or validating.
    WebhookConfiguration {
        /// Its metadata.
        metadata: Metadata,
        /// Its webhooks.
        webhooks: Vec<Webhook>,
    }
    /// A webhook of a configuration.
    Webhook {
        /// Its name.
        name: String,
        /// `Fail` or `Ignore`.
        failure_policy: String,
        /// Where it is, and whom to trust.
        client_config: ClientConfig,
        /// Which namespaces it is for.
        namespace_selector: Selector,
        /// What it is called for.
        rules: Vec<WebhookRule>,
        /// `IfNeeded` or `Never`.
        reinvocation_policy: String,
        /// Which objects it is for.
        object_selector: Selector,
        /// Which requests it is for: all of these.
        match_conditions: Vec<MatchCondition>,
    }
    /// A condition on requests.
    MatchCondition {
        /// Its name.
        name: String,
        /// CEL.
        expression: String,
    }
    /// Where a webhook is.
    ClientConfig {
        /// The authorities to trust: base64 of PEM.
        ca_bundle: String,
        /// The Service.
        service: Option<ServiceReference>,
    }
    /// A Service of a webhook.
    ServiceReference {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    }
    /// A rule of a webhook.
    WebhookRule {
        /// The API groups.
        api_groups: Vec<String>,
        /// The operations.
        operations: Vec<String>,
        /// The resources.
        resources: Vec<String>,
    }
    /// A policy of the kind `ValidatingAdmissionPolicy`.
    ValidatingPolicy {
        /// Its metadata.
        metadata: Metadata,
        /// What it is for, and what it demands.
        spec: ValidatingPolicySpec,
    }
    /// What a policy is for, and what it demands.
    ValidatingPolicySpec {
        /// `Fail` or `Ignore`.
        failure_policy: String,
        /// Which requests.
        match_constraints: MatchConstraints,
        /// Of these, which: all of these.
        match_conditions: Vec<MatchCondition>,
        /// What must hold.
        validations: Vec<Validation>,
    }
    /// What must hold.
    Validation {
        /// CEL.
        expression: String,
    }
    /// A binding of a policy.
    PolicyBinding {
        /// Its metadata.
        metadata: Metadata,
        /// Of which policy, where, and what follows.
        spec: PolicyBindingSpec,
    }
    /// Of which policy, where, and what follows.
    PolicyBindingSpec {
        /// The policy.
        policy_name: String,
        /// `Deny`, `Warn` or `Audit`.
        validation_actions: Vec<String>,
        /// Only where; everywhere, if none.
        match_resources: Option<MatchConstraints>,
    }
    /// A policy of the kind `MutatingAdmissionPolicy`.
    MutatingPolicy {
        /// Its metadata.
        metadata: Metadata,
        /// What it is for.
        spec: MutatingPolicySpec,
    }
    /// What a policy is for.
    MutatingPolicySpec {
        /// Which requests.
        match_constraints: MatchConstraints,
    }
    /// Which requests a policy is for.
    MatchConstraints {
        /// Any of these.
        resource_rules: Vec<WebhookRule>,
        /// In which namespaces.
        namespace_selector: Selector,
        /// Which objects.
        object_selector: Selector,
    }
}

impl WebhookRule {
    /// Whether it is for the creation of pods.
    pub fn is_for_pods(&self) -> bool {
        self.is_for("CREATE", "pods")
    }

    /// Whether it is for an operation on a resource of the core, such as `pods` or
    /// `pods/resize`.
    pub fn is_for(&self, operation: &str, resource: &str) -> bool {
        let any = |values: &[String], wanted: &[&str]| {
            values
                .iter()
                .any(|own| own == "*" || wanted.contains(&own.as_str()))
        };
        let (parent, part) = resource.split_once('/').unwrap_or((resource, ""));
        let resources = match part {
            "" => vec![resource.to_owned(), "*/*".to_owned()],
            part => vec![
                resource.to_owned(),
                "*/*".to_owned(),
                format!("{parent}/*"),
                format!("*/{part}"),
            ],
        };
        let mut own = self.resources.iter();
        // `*` alone is for no part of a resource.
        let has_resource = own.any(|own| resources.contains(own) || part.is_empty() && own == "*");
        any(&self.api_groups, &[""]) && any(&self.operations, &[operation]) && has_resource
    }
}

impl Webhook {
    /// Whether it is called when pods are created.
    pub fn is_for_pods(&self) -> bool {
        self.rules.iter().any(WebhookRule::is_for_pods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_for_everything_is_for_pods() {
        let of = |json: &str| {
            serde_json::from_str::<Webhook>(json)
                .expect("a webhook")
                .is_for_pods()
        };
        assert!(of(
            r#"{"rules": [{"apiGroups": ["*"], "operations": ["*"], "resources": ["*/*"]}]}"#
        ));
        assert!(of(
            r#"{"rules": [{"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}]}"#
        ));
        assert!(!of(
            r#"{"rules": [{"apiGroups": ["apps"], "operations": ["*"], "resources": ["*"]}]}"#
        ));
    }
}
