//! Pods, what makes them, and their events.

use serde::Deserialize;

use super::nodes::Toleration;
use super::{Map, Metadata, ObjectName, Selector, or_default};

object! {
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
    /// A volume of a Secret.
    SecretVolume {
        /// The Secret's name.
        secret_name: String,
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
}
