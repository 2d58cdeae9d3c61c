//! Namespaces of jobs: what is read of each, and the pods that are tried there.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::time::sleep;

use super::JOB_LABEL;
use super::dry_run::{self, DryRun, Validated};
use super::job;
use super::look::{Cluster, Look, escaped};
use super::objects::{Event, LimitRange, Named, Pod, ResourceQuota};
use super::policy::Source;
use admission::namespace::policy::{Policy, Settings};
use admission::namespace::{Namespace, PROFILE};

/// How many namespaces are read at once.
const AT_ONCE: usize = 8;
/// How many namespaces are read.
const NAMESPACES: usize = 300;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// In how many namespaces podseal is made to deny a pod: each counts as a denial in its
/// metrics, and podseal's alert on a jump of these shall stay silent.
const VALIDATED: usize = 5;
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
    /// A privileged pod of no job that was not created.
    pub validated: Validated,
}

impl JobNamespace {
    /// The newest pod of a job.
    pub(super) fn newest(&self) -> Option<&Pod> {
        job::newest(&self.pods)
    }
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

/// Reads those of `namespaces` that opted in or have a rule. Also returns how many more there
/// are.
pub(super) async fn job_namespaces(
    cluster: &Cluster,
    namespaces: &Look<Vec<Named>>,
    source: &Source,
) -> (Vec<JobNamespace>, usize) {
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
    let count = chosen.len();
    let read = chosen.into_iter().take(NAMESPACES).enumerate();
    let read = read.map(|(at, (object, namespace, runner))| {
        NamespaceRead {
            cluster,
            settings: &settings,
            validates: at < VALIDATED,
        }
        .read(object, namespace, runner)
    });
    let read = stream::iter(read).buffered(AT_ONCE);
    let late = Box::pin(sleep(PATIENCE));
    let read: Vec<_> = read.take_until(late).collect().await;
    let left_out = count - read.len();
    (read, left_out)
}

/// Reads a namespace.
struct NamespaceRead<'r> {
    cluster: &'r Cluster,
    settings: &'r Settings<'r>,
    /// Whether podseal is made to deny a pod.
    validates: bool,
}

impl NamespaceRead<'_> {
    async fn read(
        self,
        object: Named,
        namespace: Namespace,
        runner: Option<String>,
    ) -> JobNamespace {
        let NamespaceRead {
            cluster,
            settings,
            validates,
        } = self;
        let of = |what: &str| format!("/api/v1/namespaces/{}/{what}", escaped(&namespace.name));
        let [quotas, limits, events] = [
            "resourcequotas",
            "limitranges",
            "events?fieldSelector=type%3DWarning",
        ]
        .map(of);
        let pods = of(&format!("pods?labelSelector={}", escaped(JOB_LABEL)));
        let account = runner.as_deref().and_then(service_account);
        let tried = async {
            let pods: Look<Vec<Pod>> = cluster.some(&pods).await;
            let like = job::newest(&pods);
            let attempt = dry_run::Attempt {
                cluster,
                namespace: &namespace,
                settings,
                like,
            };
            let dry_run = attempt.create(runner.as_deref()).await;
            let validated = match validates {
                true => attempt.validate(dry_run.user.as_deref()).await,
                false => Validated::NotTried,
            };
            (pods, dry_run, validated)
        };
        let (quotas, limits, events, runner_read, (pods, dry_run, validated)) = tokio::join!(
            cluster.some(&quotas),
            cluster.some(&limits),
            cluster.some(&events),
            Runner::read(cluster, account),
            tried,
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
            validated,
        }
    }
}

impl Runner {
    async fn read(cluster: &Cluster, account: Option<(&str, &str)>) -> Option<Runner> {
        let (namespace, name) = account?;
        let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", escaped(namespace));
        let account: Look<Named> = cluster.get(&format!("{accounts}/{}", escaped(name))).await;
        let others = match account {
            Look::Absent => cluster.some(&accounts).await,
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
