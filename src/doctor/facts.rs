//! Everything that is read before anything is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::job_namespace::job_namespaces;
pub use super::job_namespace::{JobNamespace, Runner};
use super::look::{Cluster, Look, escaped};
use super::node_kind::{NodeKind, is_ready};
use super::objects::{
    Configz, Data, Deployment, MutatingPolicy, Named, Node, Pod, PolicyBinding, Toleration,
    ValidatingPolicy, Version, WebhookConfiguration,
};
use super::policy::Source;

/// The annotation that Helm sets on what it installs.
const HELM_NAME: &str = "meta.helm.sh/release-name";
/// How many nodes are asked for their kubelet's configuration.
const ASKED: usize = 20;
/// How long one of them may take to answer.
const KUBELET: Duration = Duration::from_secs(3);

/// What the doctor shall look at.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only this namespace of jobs.
    pub namespace: Option<String>,
    /// The taints that jobs tolerate.
    pub tolerations: Vec<Toleration>,
}

/// What was read.
#[derive(Debug)]
pub struct Facts {
    /// The version of the API server.
    pub version: Look<Version>,
    /// All configurations of mutating webhooks.
    pub mutating: Look<Vec<WebhookConfiguration>>,
    /// All configurations of validating webhooks.
    pub validating: Look<Vec<WebhookConfiguration>>,
    /// All policies of the kind `ValidatingAdmissionPolicy`.
    pub policies: Look<Vec<ValidatingPolicy>>,
    /// Their bindings.
    pub bindings: Look<Vec<PolicyBinding>>,
    /// All policies of the kind `MutatingAdmissionPolicy`.
    pub mutating_policies: Look<Vec<MutatingPolicy>>,
    /// podseal's Deployment, and what belongs to it.
    pub release: Option<Release>,
    /// The profiles and rules that are served.
    pub source: Source,
    /// The namespace that alone is looked at.
    pub only: Option<String>,
    /// All namespaces, or that one.
    pub namespaces: Look<Vec<Named>>,
    /// Those that opted in, or that a rule is for.
    pub jobs: Vec<JobNamespace>,
    /// How many more there are, for which there was no time.
    pub left_out: usize,
    /// All nodes.
    pub nodes: Look<Vec<Node>>,
    /// The configuration of some kubelets, by node.
    pub kubelets: Vec<(String, Look<Configz>)>,
    /// The taints that jobs tolerate, as the user named them.
    pub tolerations: Vec<Toleration>,
    /// Whether the cluster is OpenShift.
    pub is_openshift: bool,
    /// Why that is not known.
    pub openshift_hidden: Option<String>,
}

/// podseal's Deployment, and what belongs to it.
#[derive(Debug)]
pub struct Release {
    /// The name of its Service and its Deployment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// As Helm names it, which is not what its objects are called.
    pub helm_name: String,
    /// The Deployment.
    pub deployment: Look<Deployment>,
    /// Its pods.
    pub pods: Look<Vec<Pod>>,
    /// The Secret with its certificate.
    pub secret: Look<Data>,
    /// That Secret's name.
    pub secret_name: String,
}

impl Facts {
    /// Reads the cluster.
    pub async fn read(cluster: &Cluster, scope: &Scope) -> Facts {
        let configurations = "/apis/admissionregistration.k8s.io/v1";
        let [mutating, validating] = ["mutating", "validating"]
            .map(|kind| format!("{configurations}/{kind}webhookconfigurations"));
        let policies = format!("{configurations}/validatingadmissionpolicies");
        let bindings = format!("{configurations}/validatingadmissionpolicybindings");
        let (
            version,
            mutating,
            validating,
            policies,
            bindings,
            mutating_policies,
            namespaces,
            nodes,
            openshift,
        ) = tokio::join!(
            cluster.get::<Version>("/version"),
            cluster.list::<WebhookConfiguration>(&mutating),
            cluster.list::<WebhookConfiguration>(&validating),
            cluster.list::<ValidatingPolicy>(&policies),
            cluster.list::<PolicyBinding>(&bindings),
            mutating_policies(cluster),
            namespaces(cluster, scope),
            cluster.list::<Node>("/api/v1/nodes"),
            cluster.get::<serde::de::IgnoredAny>("/apis/security.openshift.io"),
        );
        let release = match service(&mutating).or_else(|| service(&validating)) {
            Some(service) => Some(Release::read(cluster, service).await),
            None => None,
        };
        let hidden = mutating.hidden().or_else(|| validating.hidden());
        let source = match (&release, hidden) {
            (Some(release), _) => Source::of_release(cluster, release).await,
            // Whether there is a podseal at all is not known.
            (None, Some(why)) => Source::Hidden(format!("webhook configurations: {why}")),
            (None, None) => Source::BuiltIn,
        };
        let (jobs, left_out) = job_namespaces(cluster, &namespaces, &source).await;
        let kubelets = kubelets(cluster, &nodes).await;
        Facts {
            version,
            mutating,
            validating,
            policies,
            bindings,
            mutating_policies,
            release,
            source,
            only: scope.namespace.clone(),
            namespaces,
            jobs,
            left_out,
            nodes,
            kubelets,
            tolerations: scope.tolerations.clone(),
            is_openshift: openshift.seen().is_some(),
            openshift_hidden: openshift.hidden(),
        }
    }
}

/// Policies by the newest version that the API server has: `v1` is of 1.36.
async fn mutating_policies(cluster: &Cluster) -> Look<Vec<MutatingPolicy>> {
    let mut read = Look::Absent;
    for version in ["v1", "v1beta1", "v1alpha1"] {
        let group = "/apis/admissionregistration.k8s.io";
        let path = format!("{group}/{version}/mutatingadmissionpolicies");
        read = cluster.list(&path).await;
        if read != Look::Absent {
            break;
        }
    }
    read
}

async fn namespaces(cluster: &Cluster, scope: &Scope) -> Look<Vec<Named>> {
    let Some(name) = &scope.namespace else {
        return cluster.list("/api/v1/namespaces").await;
    };
    let path = format!("/api/v1/namespaces/{}", escaped(name));
    match cluster.get::<Named>(&path).await {
        Look::Seen(namespace) => Look::Seen(vec![namespace]),
        Look::Absent => Look::Absent,
        Look::NotAllowed(message) => Look::NotAllowed(message),
        Look::Failed(message) => Look::Failed(message),
    }
}

/// Whether a webhook of this name is podseal's.
pub(super) fn is_podseals(webhook: &str) -> bool {
    webhook.ends_with("mutate.podseal.io") || webhook.ends_with("validate.podseal.io")
}

/// podseal's Service.
struct Service {
    name: String,
    namespace: String,
    helm_name: String,
}

/// The Service that podseal's webhooks name.
fn service(configurations: &Look<Vec<WebhookConfiguration>>) -> Option<Service> {
    let configurations = configurations.seen()?.iter();
    let mut webhooks =
        configurations.flat_map(|own| own.webhooks.iter().map(move |webhook| (own, webhook)));
    let (own, webhook) = webhooks.find(|(_, webhook)| is_podseals(&webhook.name))?;
    let service = webhook.client_config.service.as_ref()?;
    let helm_name = own.metadata.annotations.get(HELM_NAME);
    Some(Service {
        name: service.name.clone(),
        namespace: service.namespace.clone(),
        helm_name: helm_name.unwrap_or(&service.name).clone(),
    })
}

impl Release {
    async fn read(cluster: &Cluster, service: Service) -> Release {
        let Service {
            name,
            namespace,
            helm_name,
        } = service;
        let (of, in_namespace) = (escaped(&name), escaped(&namespace));
        let path = format!("/apis/apps/v1/namespaces/{in_namespace}/deployments/{of}");
        let deployment: Look<Deployment> = cluster.get(&path).await;
        let selector = deployment.seen().map(|deployment| {
            let query = deployment.spec.selector.query();
            format!("/api/v1/namespaces/{in_namespace}/pods?labelSelector={query}")
        });
        let pods = match selector {
            Some(path) => cluster.list(&path).await,
            None => Look::Absent,
        };
        let secret_name = secret_name(deployment.seen());
        let secret_name = secret_name.unwrap_or_else(|| format!("{name}-tls"));
        let path = format!(
            "/api/v1/namespaces/{in_namespace}/secrets/{}",
            escaped(&secret_name)
        );
        Release {
            secret: cluster.get(&path).await,
            name,
            namespace,
            helm_name,
            deployment,
            pods,
            secret_name,
        }
    }
}

/// The name of the Secret that a Deployment of the chart has its certificate from.
fn secret_name(deployment: Option<&Deployment>) -> Option<String> {
    let pod = &deployment?.spec.template.spec;
    let mut args = pod.containers.iter().flat_map(|container| &container.args);
    let by_args = args.find_map(|arg| arg.strip_prefix("--tls-secret="));
    let volume = pod.volumes.iter().find(|volume| volume.name == "tls");
    let by_volume = volume.and_then(|volume| volume.secret.as_ref());
    by_args
        .map(str::to_owned)
        .or_else(|| by_volume.map(|secret| secret.secret_name.clone()))
}

/// The configuration of some kubelets, of each kind first. It takes the permission
/// `nodes/proxy`, which few have, so one refusal is enough; and a kubelet that hangs costs
/// seconds, however many do.
async fn kubelets(cluster: &Cluster, nodes: &Look<Vec<Node>>) -> Vec<(String, Look<Configz>)> {
    let mut read = Vec::new();
    let mut asked = asked(nodes.seen().map_or(&[], Vec::as_slice)).into_iter();
    if let Some(first) = asked.next() {
        read.push(kubelet(cluster, first).await);
    }
    if !matches!(read.as_slice(), [(_, Look::NotAllowed(_))]) {
        let others = asked.map(|node| kubelet(cluster, node));
        read.extend(futures::future::join_all(others).await);
    }
    read
}

/// The nodes to ask: one of each kind, then a second one, and so on.
fn asked(nodes: &[Node]) -> Vec<&Node> {
    let mut seen: BTreeMap<NodeKind, usize> = BTreeMap::new();
    let ready = nodes.iter().filter(|node| is_ready(node));
    let mut numbered: Vec<_> = ready
        .map(|node| {
            let count = seen
                .entry(NodeKind::of(node, &BTreeSet::new()))
                .or_default();
            *count += 1;
            (*count, node)
        })
        .collect();
    numbered.sort_by_key(|(count, _)| *count);
    let nodes = numbered.into_iter().map(|(_, node)| node);
    nodes.take(ASKED).collect()
}

async fn kubelet(cluster: &Cluster, node: &Node) -> (String, Look<Configz>) {
    let name = node.metadata.name.clone();
    let path = format!("/api/v1/nodes/{}/proxy/configz", escaped(&name));
    let answer = tokio::time::timeout(KUBELET, cluster.get(&path)).await;
    let late = |_| Look::Failed(format!("no answer in {} s", KUBELET.as_secs()));
    (name, answer.unwrap_or_else(late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_of_each_kind_is_asked_first_and_none_that_is_not_ready() {
        let node = |name: &str, kernel: &str, ready: &str| -> Node {
            let node = serde_json::json!({
                "metadata": {"name": name},
                "status": {"nodeInfo": {"kernelVersion": kernel},
                    "conditions": [{"type": "Ready", "status": ready}]},
            });
            serde_json::from_value(node).expect("a node")
        };
        let mut nodes: Vec<_> = (0..30)
            .map(|number| node(&format!("old-{number}"), "5.15", "True"))
            .collect();
        nodes.push(node("new", "6.12", "True"));
        nodes.push(node("dead", "6.18", "Unknown"));
        let names: Vec<_> = asked(&nodes)
            .iter()
            .map(|node| node.metadata.name.as_str())
            .collect();
        assert_eq!(names.len(), ASKED);
        assert_eq!(names[..3], ["old-0", "new", "old-1"]);
        assert!(!names.contains(&"dead"));
    }
}
