//! Whether a pod is a CI job's, and which job's.
//!
//! Read from GitLab Runner 19.4, `executors/kubernetes`. A job pod carries the
//! label [`JOB_POD`] and a container named `build`. The older label `pod` and
//! `manager.runner.gitlab.com/id-short` are on other pods too (the autoscaler's
//! pause pods, for example) and prove nothing.

use super::role::BUILD;
use crate::pod::Pod;
use crate::text::Text;

/// The label of every job pod since GitLab Runner 17.9.
pub const JOB_POD: &str = "job.runner.gitlab.com/pod";
/// The project's number: a label, which a job author cannot change.
pub const PROJECT_ID: &str = "project.runner.gitlab.com/id";
/// The project's name, sanitised.
pub const PROJECT_NAME: &str = "project.runner.gitlab.com/name";
/// The project's group path, sanitised (`/` becomes `_`).
pub const PROJECT_NAMESPACE: &str = "project.runner.gitlab.com/namespace";
/// The job's number: an annotation, informative only.
pub const JOB_ID: &str = "job.runner.gitlab.com/id";

/// The annotation of a mirror pod: its static pod runs on the node, whatever
/// podseal decides.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// A GitLab job, as far as its pod identifies it.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The job's number, from an annotation that its author may have changed.
    pub id: Option<Text<'a>>,
    /// The project's number.
    pub project_id: Option<Text<'a>>,
    /// Group and name of the project, as the labels have them.
    pub project: Option<String>,
}

impl<'a> Job<'a> {
    /// The job that `pod` runs, if it is a job pod.
    pub fn from_pod(pod: &Pod<'a>) -> Option<Job<'a>> {
        let labels = &pod.metadata.labels;
        labels.get(JOB_POD)?;
        pod.spec.containers.iter().find(|c| &*c.name == BUILD)?;
        let annotations = pod.metadata.annotations.as_ref();
        if annotations.is_some_and(|a| a.get(MIRROR).is_some()) {
            return None;
        }
        let filled = |text: &&Text<'a>| !text.is_empty();
        let name = labels.get(PROJECT_NAME).filter(filled);
        let group = labels.get(PROJECT_NAMESPACE).filter(filled);
        Some(Job {
            id: annotations
                .and_then(|a| a.get(JOB_ID))
                .filter(filled)
                .cloned(),
            project_id: labels.get(PROJECT_ID).filter(filled).cloned(),
            project: match (group, name) {
                (Some(group), Some(name)) => Some(format!("{}/{}", &**group, &**name)),
                (None, Some(name)) => Some(name.to_string()),
                _ => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(json: &str) -> bool {
        let pod: Pod<'_> = serde_json::from_str(json).expect("a pod");
        Job::from_pod(&pod).is_some()
    }

    #[test]
    fn a_pod_with_the_job_label_and_a_build_container_is_a_job() {
        assert!(job(
            r#"{"metadata":{"labels":{"job.runner.gitlab.com/pod":"x"}},"spec":{"containers":[{"name":"build"}]}}"#
        ));
    }

    #[test]
    fn the_autoscalers_pause_pod_is_not_a_job() {
        assert!(!job(
            r#"{"metadata":{"labels":{"runner.gitlab.com/pause-pod":"true","manager.runner.gitlab.com/id-short":"a","pod":"p"}},
                "spec":{"containers":[{"name":"pause"}]}}"#
        ));
    }

    #[test]
    fn a_pod_from_before_runner_17_9_is_not_a_job_since_its_author_controls_annotations() {
        assert!(!job(
            r#"{"metadata":{"annotations":{"job.runner.gitlab.com/id":"1"}},"spec":{"containers":[{"name":"build"}]}}"#
        ));
    }

    #[test]
    fn a_pod_with_build_only_as_an_init_container_is_not_a_job() {
        assert!(!job(
            r#"{"metadata":{"labels":{"job.runner.gitlab.com/pod":"x"}},"spec":{"initContainers":[{"name":"build"}],"containers":[{"name":"app"}]}}"#
        ));
    }
}
