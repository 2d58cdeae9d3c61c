//! Everything that is read before anything is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;

use super::JOB_LABEL;
use super::dry_run::{self, DryRun};
use super::look::{Cluster, Look, escaped};
use super::node_kind::{NodeKind, is_ready};
use super::objects::{
    Configz, Data, Deployment, Event, LimitRange, MutatingPolicy, Named, Node, Pod, ResourceQuota,
    Toleration, Version, WebhookConfiguration,
};
use super::policy::Source;
use admission::namespace::policy::{Policy, Settings};
use admission::namespace::{Namespace, PROFILE};

/// How many namespaces are read at once.
const AT_ONCE: usize = 8;
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
    pub policies: Look<Vec<Named>>,
    /// All policies of the kind `MutatingAdmissionPolicy`.
    pub mutating_policies: Look<Vec<MutatingPolicy>>,
    /// podseal's Deployment, and what belongs to it.
    pub release: Option<Release>,
    /// The profiles and rules that are served.
    pub source: Source,
    /// All namespaces, or the one of the scope.
    pub namespaces: Look<Vec<Named>>,
    /// Those that opted in, or that a rule is for.
    pub jobs: Vec<JobNamespace>,
    /// All nodes.
    pub nodes: Look<Vec<Node>>,
    /// The configuration of some kubelets, by node.
    pub kubelets: Vec<(String, Look<Configz>)>,
    /// The taints that jobs tolerate, as the user named them.
    pub tolerations: Vec<Toleration>,
    /// Whether the cluster is OpenShift.
    pub is_openshift: bool,
}

/// podseal's Deployment, and what belongs to it.
#[derive(Debug)]
pub struct Release {
    /// The name of its Service and its Deployment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The Deployment.
    pub deployment: Look<Deployment>,
    /// Its pods.
    pub pods: Look<Vec<Pod>>,
    /// The Secret with its certificate.
    pub secret: Look<Data>,
    /// That Secret's name.
    pub secret_name: String,
}

/// A namespace of jobs.
#[derive(Debug)]
pub struct JobNamespace {
    /// The namespace, as podseal reads it.
    pub namespace: Namespace,
    /// All of its labels.
    pub object: Named,
    /// The service account that its annotation names as runner.
    pub runner: Option<Runner>,
    /// Its quotas.
    pub quotas: Look<Vec<ResourceQuota>>,
    /// Its ranges.
    pub limits: Look<Vec<LimitRange>>,
    /// The pods of jobs.
    pub pods: Look<Vec<Pod>>,
    /// Its warning events.
    pub events: Look<Vec<Event>>,
    /// A job's pod that was not created.
    pub dry_run: DryRun,
}

/// A service account.
#[derive(Debug)]
pub struct Runner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The account.
    pub account: Look<Named>,
    /// The accounts of its namespace, where it does not exist.
    pub others: Look<Vec<Named>>,
}

impl Facts {
    /// Reads the cluster.
    pub async fn read(cluster: &Cluster, scope: &Scope) -> Facts {
        let configurations = "/apis/admissionregistration.k8s.io/v1";
        let [mutating, validating] = ["mutating", "validating"]
            .map(|kind| format!("{configurations}/{kind}webhookconfigurations"));
        let policies = format!("{configurations}/validatingadmissionpolicies");
        let mutating_policies = format!("{configurations}/mutatingadmissionpolicies");
        let (
            version,
            mutating,
            validating,
            policies,
            mutating_policies,
            namespaces,
            nodes,
            openshift,
        ) = tokio::join!(
            cluster.get::<Version>("/version"),
            cluster.list::<WebhookConfiguration>(&mutating),
            cluster.list::<WebhookConfiguration>(&validating),
            cluster.list::<Named>(&policies),
            cluster.list::<MutatingPolicy>(&mutating_policies),
            namespaces(cluster, scope),
            cluster.list::<Node>("/api/v1/nodes"),
            cluster.get::<serde::de::IgnoredAny>("/apis/security.openshift.io"),
        );
        let release = match service(&mutating).or_else(|| service(&validating)) {
            Some((name, namespace)) => Some(Release::read(cluster, name, namespace).await),
            None => None,
        };
        let source = match &release {
            Some(release) => Source::of_release(cluster, release).await,
            None => Source::BuiltIn,
        };
        let jobs = job_namespaces(cluster, &namespaces, &source).await;
        let kubelets = kubelets(cluster, &nodes).await;
        Facts {
            version,
            mutating,
            validating,
            policies,
            mutating_policies,
            release,
            source,
            namespaces,
            jobs,
            nodes,
            kubelets,
            tolerations: scope.tolerations.clone(),
            is_openshift: openshift.seen().is_some(),
        }
    }
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

/// The name and namespace of podseal's Service.
fn service(configurations: &Look<Vec<WebhookConfiguration>>) -> Option<(String, String)> {
    let configurations = configurations.seen()?.iter();
    let mut webhooks = configurations.flat_map(|configuration| &configuration.webhooks);
    let webhook = webhooks.find(|webhook| is_podseals(&webhook.name))?;
    let service = webhook.client_config.service.as_ref()?;
    Some((service.name.clone(), service.namespace.clone()))
}

impl Release {
    async fn read(cluster: &Cluster, name: String, namespace: String) -> Release {
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

async fn job_namespaces(
    cluster: &Cluster,
    namespaces: &Look<Vec<Named>>,
    source: &Source,
) -> Vec<JobNamespace> {
    let served = source.served();
    let settings = served.settings();
    let keys = settings.namespace_rules.label_keys();
    let mut chosen = Vec::new();
    for object in namespaces.seen().into_iter().flatten() {
        let metadata = object.metadata.clone();
        let namespace =
            Namespace::keeping(metadata.name, metadata.labels, metadata.annotations, &keys);
        let is_labelled = namespace.labels.contains_key(PROFILE);
        let policy = Policy::from_namespace(&namespace, &settings);
        let runner = policy.as_ref().and_then(Policy::runner).map(str::to_owned);
        if is_labelled || policy.is_some() {
            chosen.push((object.clone(), namespace, runner));
        }
    }
    let read = chosen.into_iter().map(|(object, namespace, runner)| {
        JobNamespace::read(cluster, object, namespace, runner, &settings)
    });
    stream::iter(read).buffered(AT_ONCE).collect().await
}

impl JobNamespace {
    async fn read(
        cluster: &Cluster,
        object: Named,
        namespace: Namespace,
        runner: Option<String>,
        settings: &Settings<'_>,
    ) -> JobNamespace {
        let of = |what: &str| format!("/api/v1/namespaces/{}/{what}", escaped(&namespace.name));
        let [quotas, limits, events] = [
            "resourcequotas",
            "limitranges",
            "events?fieldSelector=type%3DWarning",
        ]
        .map(of);
        let pods = of(&format!("pods?labelSelector={}", escaped(JOB_LABEL)));
        let account = runner.as_deref().and_then(service_account);
        let (quotas, limits, pods, events, runner_read, dry_run) = tokio::join!(
            cluster.list(&quotas),
            cluster.list(&limits),
            cluster.list(&pods),
            cluster.list(&events),
            Runner::read(cluster, account),
            dry_run::create(cluster, &namespace, runner.as_deref(), settings),
        );
        JobNamespace {
            namespace,
            object,
            runner: runner_read,
            quotas,
            limits,
            pods,
            events,
            dry_run,
        }
    }
}

impl Runner {
    async fn read(cluster: &Cluster, account: Option<(&str, &str)>) -> Option<Runner> {
        let (namespace, name) = account?;
        let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", escaped(namespace));
        let account: Look<Named> = cluster.get(&format!("{accounts}/{}", escaped(name))).await;
        let others = match account {
            Look::Absent => cluster.list(&accounts).await,
            _ => Look::Absent,
        };
        Some(Runner {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            account,
            others,
        })
    }
}

/// The namespace and name of the service account that a user name is of.
pub(super) fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
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
