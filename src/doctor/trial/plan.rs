//! Which pods are tried, on which nodes, and as whom.

use serde_json::Value;

use super::is_of_trial;
use crate::doctor::dry_run::Answer;
use crate::doctor::facts::{Facts, JobNamespace};
use crate::doctor::finding::quote;
use crate::doctor::job;
use crate::doctor::needs::Needs;
use crate::doctor::node_kind::Nodes;
use crate::doctor::nodes::NodeTable;
use crate::doctor::objects::Pod;
use crate::doctor::toleration::{as_json, in_words, untolerated};
use admission::namespace::policy::Policy;

/// What `--try` does once it is allowed to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The namespace of the pods.
    pub namespace: String,
    /// Its profile.
    pub profile: String,
    /// What that needs.
    pub needs: Needs,
    /// As whom they are created; the user of the kubeconfig, if none.
    pub user: Option<String>,
    /// The image of their containers.
    pub image: Image,
    /// The names of the nodes, one of each kind that has no taint but those to tolerate.
    pub nodes: Vec<String>,
    /// Why a node of another kind is left out.
    pub left_out: Vec<(String, String)>,
    /// Pods in the namespace that an earlier trial left.
    pub earlier: Vec<String>,
    pub(super) tolerations: Value,
}

/// The image of the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// The pod that it was taken from, and when that was created; none where the user named
    /// the image.
    pub of_pod: Option<(String, String)>,
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
    /// podseal did not correct the pod of the dry run.
    #[error(
        "nothing was tried, since a job's pod would not be corrected and accepted in namespace {0}: see the dry run"
    )]
    NotCorrected(String),
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
        let corrected = job::corrected(&job.namespace, &settings);
        if policy
            .as_ref()
            .is_some_and(|policy| policy.profile.is_some())
            && corrected.is_err()
        {
            return Err(PlanError::NotCorrected(quote(&job.namespace.name)));
        }
        let needs = corrected.ok().map(|pod| Needs::of_pod(&pod));
        let (Some(policy), Some(needs)) = (&policy, needs.filter(|needs| needs.podman)) else {
            let name = policy.map_or("", |policy| policy.name);
            return Err(PlanError::Profile(quote(name)));
        };
        if let Some(why) = &job.dry_run.not_the_runner {
            return Err(PlanError::Runner {
                namespace: quote(&job.namespace.name),
                why: why.clone(),
            });
        }
        if job.dry_run.answer != Answer::Corrected {
            return Err(PlanError::NotCorrected(quote(&job.namespace.name)));
        }
        let image = match image {
            Some(name) => Image {
                name: name.to_owned(),
                of_pod: None,
            },
            None => newest_image(job).ok_or(PlanError::Image)?,
        };
        if let Some(why) = facts.nodes.hidden() {
            return Err(PlanError::Nodes(why));
        }
        let (nodes, left_out) = nodes(facts, policy.name);
        let pods = job.pods.seen().into_iter().flatten();
        let earlier = pods.filter(|pod| is_of_trial(pod));
        Ok(Plan {
            namespace: job.namespace.name.clone(),
            profile: policy.name.to_owned(),
            needs,
            user: job.dry_run.user.clone(),
            image,
            nodes,
            left_out,
            earlier: earlier.map(|pod| pod.metadata.name.clone()).collect(),
            tolerations: facts.tolerations.iter().map(as_json).collect(),
        })
    }
}

/// The nodes to try, and those of other kinds with the reason. By the tolerations that the
/// user named alone: those of a pod are whoever's who created it.
fn nodes(facts: &Facts, profile: &str) -> (Vec<String>, Vec<(String, String)>) {
    let table = NodeTable::of(facts, &[]);
    let mut nodes = Vec::new();
    let mut left_out = Vec::new();
    for kind in Nodes::by_kind(facts) {
        let name = kind.usable.as_ref().or(kind.names.first());
        let Some(name) = name.cloned() else {
            continue;
        };
        match untolerated(&kind.taints, &facts.tolerations).map(in_words) {
            Some(taint) => {
                let why = format!("it has the taint {taint}; to try it, add --toleration {taint}");
                left_out.push((name, why));
            }
            None if kind.usable.is_none() => {
                left_out.push((name, "it takes no pods now".to_owned()));
            }
            None => match table.unschedulable(profile, &name) {
                Some(why) => left_out.push((name, why.to_owned())),
                None => nodes.push(name),
            },
        }
    }
    (nodes, left_out)
}

/// The image of the newest pod of a job.
fn newest_image(job: &JobNamespace) -> Option<Image> {
    let pods = job.pods.seen().into_iter().flatten();
    let jobs = pods.filter(|pod| !is_of_trial(pod));
    let newest = jobs.max_by_key(|pod| &pod.metadata.creation_timestamp)?;
    let Pod { metadata, spec, .. } = newest;
    let mut containers = spec.containers.iter();
    let build = containers.find(|container| container.name == "build")?;
    Some(Image {
        name: build.image.clone(),
        of_pod: Some((metadata.name.clone(), metadata.creation_timestamp.clone())),
    })
}
