//! Which pods are tried, on which nodes, and as whom.

use serde_json::{Value, json};

use crate::doctor::facts::{Facts, JobNamespace};
use crate::doctor::finding::quote;
use crate::doctor::node_kind::Nodes;
use crate::doctor::objects::{Pod, Toleration};
use admission::namespace::policy::Policy;

/// What `--try` does once it is allowed to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The namespace of the pods.
    pub namespace: String,
    /// Its profile.
    pub profile: String,
    /// As whom they are created; the user of the kubeconfig, if none.
    pub user: Option<String>,
    /// The image of their containers.
    pub image: String,
    /// The names of the nodes, one of each kind that jobs of the namespace get to.
    pub nodes: Vec<String>,
    /// The kinds that they do not get to, by a node and its taint.
    pub kept_away: Vec<(String, String)>,
    pub(super) tolerations: Value,
}

/// Why nothing can be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is none, or there are several.
    #[error("--try takes one namespace that opted in, and there are {0}; name it with --namespace")]
    Namespace(usize),
    /// Its profile changes nothing, or there is none of that name.
    #[error("the profile {0} prepares no pod for Podman, so there is nothing to try")]
    Profile(String),
    /// The runner may not be impersonated.
    #[error(
        "you are not allowed to impersonate the runner of namespace {namespace}, and podseal corrects nobody else's pods there: {why}"
    )]
    Runner {
        /// The namespace.
        namespace: String,
        /// The API server's message.
        why: String,
    },
    /// No pod of a job says which.
    #[error("which image do your jobs use? Name it: --try IMAGE")]
    Image,
    /// None can be listed.
    #[error("no node is known: {0}")]
    Nodes(String),
}

impl Plan {
    /// The plan for a cluster, with the image that was named, if one was.
    ///
    /// # Errors
    /// Why nothing can be tried.
    pub fn of(facts: &Facts, image: Option<&str>) -> Result<Plan, PlanError> {
        let [job] = facts.jobs.as_slice() else {
            return Err(PlanError::Namespace(facts.jobs.len()));
        };
        let settings = facts.source.served().settings();
        let policy = Policy::from_namespace(&job.namespace, &settings);
        let podman = policy.as_ref().filter(|_| needs_podman(job, facts));
        let Some(policy) = podman else {
            let name = policy.map_or("", |policy| policy.name);
            return Err(PlanError::Profile(quote(name)));
        };
        if let Some(why) = &job.dry_run.not_the_runner {
            return Err(PlanError::Runner {
                namespace: quote(&job.namespace.name),
                why: why.clone(),
            });
        }
        let pods = || job.pods.seen().into_iter().flatten();
        let newest = pods().max_by_key(|pod| &pod.metadata.creation_timestamp);
        let image = match image {
            Some(image) => image.to_owned(),
            None => newest
                .and_then(build_image)
                .ok_or(PlanError::Image)?
                .to_owned(),
        };
        if let Some(why) = facts.nodes.hidden() {
            return Err(PlanError::Nodes(why));
        }
        let tolerations = newest
            .map(|pod| pod.spec.tolerations.as_slice())
            .unwrap_or_default();
        let mut nodes = Vec::new();
        let mut kept_away = Vec::new();
        for kind in Nodes::by_kind(facts) {
            let Some(name) = kind.names.first() else {
                continue;
            };
            let untolerated = kind.taints.iter().find(|taint| {
                !tolerations
                    .iter()
                    .any(|toleration| toleration.tolerates(taint))
            });
            match untolerated {
                None => nodes.push(name.clone()),
                Some(taint) => kept_away.push((name.clone(), quote(&taint.key))),
            }
        }
        Ok(Plan {
            namespace: job.namespace.name.clone(),
            profile: policy.name.to_owned(),
            user: job.dry_run.user.clone(),
            image,
            nodes,
            kept_away,
            tolerations: tolerations.iter().map(as_json).collect(),
        })
    }
}

fn needs_podman(job: &JobNamespace, facts: &Facts) -> bool {
    let settings = facts.source.served().settings();
    let corrected = crate::doctor::job::corrected(&job.namespace, &settings);
    corrected.is_ok_and(|pod| crate::doctor::needs::Needs::of_pod(&pod).podman)
}

fn build_image(pod: &Pod) -> Option<&str> {
    let mut containers = pod.spec.containers.iter();
    let build = containers.find(|container| container.name == "build")?;
    Some(build.image.as_str())
}

fn as_json(toleration: &Toleration) -> Value {
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    json!({"key": key, "operator": operator, "value": value, "effect": effect})
}
