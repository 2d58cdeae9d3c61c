//! Nodes, their taints and kubelets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Metadata, or_default};

object! {
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
}
