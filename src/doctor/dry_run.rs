//! Pods that the API server is asked to create, and does not: dry runs. Only they show that
//! all parts work together, up to quotas.

use serde_json::Value;

use super::job;
use super::look::{Cluster, escaped, message};
use super::objects::Pod;
use admission::namespace::Namespace;
use admission::namespace::policy::Settings;

/// What became of a job's pod.
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
    /// It was denied; the message.
    Denied(String),
    /// There was no answer; why.
    Failed(String),
}

/// What became of a privileged pod of no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validated {
    /// podseal denied it.
    Denied,
    /// It was accepted, and podseal would have denied it.
    Accepted,
    /// It was not tried: podseal would not deny it, or enough others were.
    NotTried,
    /// Another admission plugin denied it first, or the user may not create pods.
    NotReached,
}

/// A pod in a namespace.
pub(super) struct Attempt<'r> {
    pub(super) cluster: &'r Cluster,
    pub(super) namespace: &'r Namespace,
    pub(super) settings: &'r Settings<'r>,
    /// The job's pod that it resembles.
    pub(super) like: Option<&'r Pod>,
}

impl Attempt<'_> {
    /// Creates a job's pod, as the runner where that is allowed.
    pub(super) async fn create(&self, runner: Option<&str>) -> DryRun {
        let mut not_the_runner = None;
        if let Some(runner) = runner {
            match self.create_as(Some(runner)).await {
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
            answer: self.create_as(None).await,
        }
    }

    async fn create_as(&self, user: Option<&str>) -> Answer {
        match self.post(&job::pod_like(self.like), user).await {
            Err(error @ kube::Error::Api(_)) => Answer::Denied(message(&error)),
            Err(error) => Answer::Failed(message(&error)),
            Ok(pod) if job::is_corrected(&pod, self.namespace, self.settings) => Answer::Corrected,
            Ok(_) => Answer::Unchanged,
        }
    }

    /// Creates a privileged pod of no job, if podseal denies that: only a denial shows that
    /// podseal is called to validate.
    pub(super) async fn validate(&self, user: Option<&str>) -> Validated {
        let pod = job::privileged_like(self.like);
        if !job::is_denied(&pod, user, self.namespace, self.settings) {
            return Validated::NotTried;
        }
        match self.post(&pod, user).await {
            Ok(_) => Validated::Accepted,
            Err(error) => match denier(&message(&error)) {
                Some(webhook) if webhook.ends_with("validate.podseal.io") => Validated::Denied,
                _ => Validated::NotReached,
            },
        }
    }

    async fn post(&self, pod: &Value, user: Option<&str>) -> kube::Result<Value> {
        let namespace = escaped(&self.namespace.name);
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let body = pod.to_string().into_bytes();
        self.cluster.ask("POST", &path, user, body).await
    }
}

/// The webhook that denied a request, as the API server names it.
pub(super) fn denier(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("admission webhook \"")?;
    let (name, rest) = rest.split_once('"')?;
    rest.starts_with(" denied the request").then_some(name)
}

/// Whether the API server refused to let the user act as another, which it does before it
/// looks at the request. Its verb is `impersonate`, or since 1.36 one of its own such as
/// `impersonate-on:serviceaccount:create`.
fn is_about_impersonation(message: &str) -> bool {
    message.contains(" cannot impersonate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_webhook_that_denied_is_named() {
        let kyverno =
            r#"admission webhook "validate.kyverno.svc-fail" denied the request: no (code 400)"#;
        assert_eq!(denier(kyverno), Some("validate.kyverno.svc-fail"));
        let failed =
            r#"Internal error occurred: failed calling webhook "validate.podseal.io": EOF"#;
        assert_eq!(denier(failed), None);
    }
}
