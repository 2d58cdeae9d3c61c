//! A job's pod that the API server is asked to create, and does not: a dry run. Only that
//! shows that all parts work together, up to quotas.

use serde_json::Value;

use super::job;
use super::look::{Cluster, escaped, message};
use admission::namespace::Namespace;
use admission::namespace::policy::Settings;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    /// As whom it was created; the user of the kubeconfig, if none.
    pub user: Option<String>,
    /// Why not as the runner, where the namespace names one.
    pub not_the_runner: Option<String>,
    /// What the API server answered.
    pub answer: Answer,
}

/// What the API server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The pod is what podseal makes of it.
    Corrected,
    /// The pod was accepted, and podseal would have changed it.
    Unchanged,
    /// It was denied, or could not be created; the message.
    Denied(String),
}

/// Creates it in `namespace`, as its runner where that is allowed.
pub(super) async fn create(
    cluster: &Cluster,
    namespace: &Namespace,
    runner: Option<&str>,
    settings: &Settings<'_>,
) -> DryRun {
    let try_as = |user| try_as(cluster, namespace, user, settings);
    let mut not_the_runner = None;
    if let Some(runner) = runner {
        match try_as(Some(runner)).await {
            Answer::Denied(message) if is_about_impersonation(&message) => {
                not_the_runner = Some(message);
            }
            answer => {
                return DryRun {
                    user: Some(runner.to_owned()),
                    not_the_runner: None,
                    answer,
                };
            }
        }
    }
    DryRun {
        user: None,
        not_the_runner,
        answer: try_as(None).await,
    }
}

/// Whether the API server refused to let the user act as another, which it does before it
/// looks at the request. Its verb is `impersonate`, or since 1.36 one of its own such as
/// `impersonate-on:serviceaccount:create`.
fn is_about_impersonation(message: &str) -> bool {
    message.contains(" cannot impersonate")
}

async fn try_as(
    cluster: &Cluster,
    namespace: &Namespace,
    user: Option<&str>,
    settings: &Settings<'_>,
) -> Answer {
    let path = format!(
        "/api/v1/namespaces/{}/pods?dryRun=All",
        escaped(&namespace.name)
    );
    let body = job::pod().to_string().into_bytes();
    match cluster.ask::<Value>("POST", &path, user, body).await {
        Err(error) => Answer::Denied(message(&error)),
        Ok(pod) if job::is_corrected(&pod, namespace, settings) => Answer::Corrected,
        Ok(_) => Answer::Unchanged,
    }
}
