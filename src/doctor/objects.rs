//! What is read of Kubernetes' objects. Fields that are missing are empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A list.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub struct List<T> {
    /// Of the list itself.
    #[serde(default)]
    pub metadata: ListMetadata,
    /// Its objects.
    #[serde(default = "Vec::new", deserialize_with = "or_default")]
    pub items: Vec<T>,
}

/// The metadata of a list.
#[derive(Debug, Default, Deserialize)]
pub struct ListMetadata {
    /// The token for the next page.
    #[serde(rename = "continue", default)]
    pub next: Option<String>,
}

/// Objects may have `null` where Go has no value.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares a struct whose fields are all optional in JSON.
macro_rules! object {
    ($(#[doc = $doc:expr] $name:ident { $(#[doc = $of:expr] $field:ident: $type:ty,)* })*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                #[doc = $of]
                #[serde(deserialize_with = "or_default")]
                pub $field: $type,
            )*
        }
    )*};
}

/// Labels, annotations, or the data of a ConfigMap.
pub type Map = BTreeMap<String, String>;

object! {
    /// The metadata of an object.
    Metadata {
        /// Its name.
        name: String,
        /// Its namespace, unless it has none.
        namespace: String,
        /// Its labels.
        labels: Map,
        /// Its annotations.
        annotations: Map,
        /// When it was created.
        creation_timestamp: String,
    }
    /// An object of which only the metadata is read.
    Named {
        /// Its metadata.
        metadata: Metadata,
    }
    /// The version of the API server.
    Version {
        /// Such as `v1.37.1`.
        git_version: String,
    }
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
    /// Which objects are selected by their labels.
    Selector {
        /// All of these.
        match_labels: Map,
        /// All of these, too.
        match_expressions: Vec<Requirement>,
    }
    /// A requirement of a selector.
    Requirement {
        /// The label.
        key: String,
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        operator: String,
        /// Of the first two.
        values: Vec<String>,
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
    /// A Deployment.
    Deployment {
        /// Its metadata.
        metadata: Metadata,
        /// What it shall be.
        spec: DeploymentSpec,
        /// What it is.
        status: DeploymentStatus,
    }
    /// What a Deployment shall be.
    DeploymentSpec {
        /// How many replicas.
        replicas: Option<i64>,
        /// Its pods.
        selector: Selector,
        /// A replica.
        template: PodTemplate,
    }
    /// What a Deployment is.
    DeploymentStatus {
        /// How many replicas are ready.
        ready_replicas: i64,
        /// How many are of the newest template.
        updated_replicas: i64,
    }
    /// The pods of a controller.
    PodTemplate {
        /// What they shall be.
        spec: PodSpec,
    }
    /// A pod.
    Pod {
        /// Its metadata.
        metadata: Metadata,
        /// What it shall be.
        spec: PodSpec,
        /// What it is.
        status: PodStatus,
    }
    /// What a pod shall be.
    PodSpec {
        /// Its containers.
        containers: Vec<Container>,
        /// Those that run before.
        init_containers: Vec<Container>,
        /// Its volumes.
        volumes: Vec<Volume>,
        /// The taints that it tolerates.
        tolerations: Vec<Toleration>,
        /// The labels of its nodes.
        node_selector: Map,
        /// Its node.
        node_name: String,
    }
    /// A container.
    Container {
        /// Its name.
        name: String,
        /// Its image.
        image: String,
        /// Its arguments.
        args: Vec<String>,
        /// What it needs.
        resources: Resources,
    }
    /// What a container needs.
    Resources {
        /// At least.
        requests: Map,
        /// At most.
        limits: Map,
    }
    /// A volume.
    Volume {
        /// Its name.
        name: String,
        /// A ConfigMap.
        config_map: Option<ObjectName>,
        /// A Secret.
        secret: Option<SecretVolume>,
    }
    /// A reference by name.
    ObjectName {
        /// The name.
        name: String,
    }
    /// A volume of a Secret.
    SecretVolume {
        /// The Secret's name.
        secret_name: String,
    }
    /// A toleration.
    Toleration {
        /// The taint's key; any, if empty.
        key: String,
        /// `Exists` or `Equal`.
        operator: String,
        /// The taint's value.
        value: String,
        /// The taint's effect; any, if empty.
        effect: String,
    }
    /// What a pod is.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded` or `Failed`.
        phase: String,
        /// Why it failed.
        reason: String,
        /// The same, in a sentence.
        message: String,
        /// Its containers.
        container_statuses: Vec<ContainerStatus>,
        /// Its init containers.
        init_container_statuses: Vec<ContainerStatus>,
    }
    /// What a container is.
    ContainerStatus {
        /// Its name.
        name: String,
        /// Whether it is ready.
        ready: bool,
        /// Whether it waits, runs or ended.
        state: ContainerState,
    }
    /// Whether a container waits or ended.
    ContainerState {
        /// Why it waits.
        waiting: Option<Because>,
        /// How it ended.
        terminated: Option<Ended>,
    }
    /// A reason.
    Because {
        /// In a word.
        reason: String,
        /// In a sentence.
        message: String,
    }
    /// How a container ended.
    Ended {
        /// The exit code.
        exit_code: i64,
        /// In a word.
        reason: String,
        /// In a sentence.
        message: String,
    }
    /// An event.
    Event {
        /// What it is about.
        involved_object: Involved,
        /// In a word.
        reason: String,
        /// In a sentence.
        message: String,
        /// How often.
        count: Option<i64>,
    }
    /// The object of an event.
    Involved {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    }
    /// A Secret or ConfigMap.
    Data {
        /// Its values; those of a Secret are base64.
        data: Map,
    }
    /// A quota of a namespace.
    ResourceQuota {
        /// Its metadata.
        metadata: Metadata,
        /// Which pods it is for.
        spec: QuotaSpec,
        /// What is allowed, and used.
        status: QuotaStatus,
    }
    /// Which pods a quota is for.
    QuotaSpec {
        /// All of these; all pods, if none.
        scopes: Vec<String>,
        /// The same by expressions.
        scope_selector: Option<ScopeSelector>,
    }
    /// Scopes by expressions.
    ScopeSelector {
    }
    /// What a quota allows, and what is used.
    QuotaStatus {
        /// Allowed.
        hard: Map,
        /// Used.
        used: Map,
    }
    /// A range of a namespace.
    LimitRange {
        /// Its metadata.
        metadata: Metadata,
        /// Its ranges.
        spec: LimitRangeSpec,
    }
    /// The ranges.
    LimitRangeSpec {
        /// One for each kind.
        limits: Vec<Range>,
    }
    /// A range.
    Range {
        /// `Container`, `Pod` or `PersistentVolumeClaim`.
        r#type: String,
        /// The limits of a container that has none.
        default: Map,
        /// The requests of a container that has none.
        default_request: Map,
        /// The largest.
        max: Map,
        /// The smallest.
        min: Map,
    }
    /// A node.
    Node {
        /// Its metadata.
        metadata: Metadata,
        /// What it shall be.
        spec: NodeSpec,
        /// What it is.
        status: NodeStatus,
    }
    /// What a node shall be.
    NodeSpec {
        /// What keeps pods away.
        taints: Vec<Taint>,
        /// Whether no pod may come.
        unschedulable: bool,
    }
    /// A taint.
    Taint {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
        effect: String,
    }
    /// What a node is.
    NodeStatus {
        /// What pods may request.
        allocatable: BTreeMap<String, Value>,
        /// Versions.
        node_info: NodeInfo,
        /// What the runtime can do, by handler.
        runtime_handlers: Vec<RuntimeHandler>,
        /// Such as whether it is ready.
        conditions: Vec<Condition>,
    }
    /// A condition.
    Condition {
        /// Such as `Ready`.
        r#type: String,
        /// `True`, `False` or `Unknown`.
        status: String,
    }
    /// The versions of a node.
    NodeInfo {
        /// Such as `v1.37.1`.
        kubelet_version: String,
        /// Such as `6.18.0`.
        kernel_version: String,
        /// Such as `containerd://2.1.9`.
        container_runtime_version: String,
        /// Such as `Ubuntu 24.04.1 LTS`.
        os_image: String,
        /// `linux` or `windows`.
        operating_system: String,
        /// Such as `amd64`.
        architecture: String,
    }
    /// A handler of a runtime.
    RuntimeHandler {
        /// Its name; empty for the default one.
        name: String,
        /// What it can do.
        features: Features,
    }
    /// What a handler can do.
    Features {
        /// Run a pod in a user namespace.
        user_namespaces: bool,
    }
    /// The configuration of a kubelet, by its endpoint `configz`.
    Configz {
        /// The kubelet's.
        kubeletconfig: KubeletConfig,
    }
    /// The configuration of a kubelet.
    KubeletConfig {
        /// Whether containers without a seccomp profile get the default one.
        seccomp_default: Option<bool>,
    }
}

impl Selector {
    /// Whether it selects all.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// As a query of a list.
    pub fn query(&self) -> String {
        let pairs = self.match_labels.iter();
        let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        super::look::escaped(&pairs.join(","))
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

impl Toleration {
    /// Whether it tolerates `taint` (Kubernetes, "Taints and Tolerations", v1.37).
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let same = |own: &str, other: &str| own.is_empty() || own == other;
        let value = self.operator == "Exists" || self.value == taint.value;
        same(&self.effect, &taint.effect) && same(&self.key, &taint.key) && value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_missing_fields_are_empty() {
        let list = r#"{"metadata": {}, "items": [{"metadata": {"name": "a", "labels": null}, "status": {"allocatable": {"cpu": "2"}}}]}"#;
        let list: List<Node> = serde_json::from_str(list).expect("a list");
        assert_eq!(list.items[0].metadata.name, "a");
        assert!(list.items[0].metadata.labels.is_empty());
        let none: List<Node> = serde_json::from_str(r#"{"items": null}"#).expect("a list");
        assert!(none.items.is_empty());
    }

    #[test]
    fn a_toleration_without_a_key_or_an_effect_tolerates_each() {
        let taint = Taint {
            key: "ci".to_owned(),
            value: "only".to_owned(),
            effect: "NoSchedule".to_owned(),
        };
        let of = |json: &str| serde_json::from_str::<Toleration>(json).expect("a toleration");
        assert!(of(r#"{"operator": "Exists"}"#).tolerates(&taint));
        assert!(of(r#"{"key": "ci", "value": "only"}"#).tolerates(&taint));
        assert!(!of(r#"{"key": "ci", "value": "x"}"#).tolerates(&taint));
        assert!(
            !of(r#"{"key": "ci", "operator": "Exists", "effect": "NoExecute"}"#).tolerates(&taint)
        );
    }

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
