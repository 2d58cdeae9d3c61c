//! A job's pod, and what podseal makes of it.

use serde_json::{Value, json};

use super::JOB_LABEL;
use super::look::Look;
use super::objects::{self, Map};
use super::trial::is_of_trial;
use admission::decision::{Allowed, Answer, Outcome};
use admission::mutate::mutate;
use admission::namespace::Namespace;
use admission::namespace::policy::{Policy, Settings};
use admission::pod::Pod;
use admission::request::Request;
use admission::validate::validate;

/// The image of the pod where no job's is known. It is never pulled.
const IMAGE: &str = "podseal-doctor";
/// The resources that a pod takes over from a job's. Others may be by a former profile.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The pod as the runner creates it, reduced to what marks it as a job's.
pub(super) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        // A pod may have any name, so one of a fixed name could not be tried.
        "metadata": {"generateName": "podseal-doctor-", "labels": {JOB_LABEL: "podseal-doctor"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {"name": "build", "image": IMAGE},
                {"name": "helper", "image": IMAGE},
            ],
        },
    })
}

/// The same with the images and resources of a job's pod, by which quotas and other webhooks
/// decide.
pub(super) fn pod_like(like: Option<&objects::Pod>) -> Value {
    let mut pod = pod();
    let containers = pod["spec"]["containers"].as_array_mut();
    for container in containers.into_iter().flatten() {
        let own = like.into_iter().flat_map(|pod| &pod.spec.containers);
        let mut own = own.filter(|own| container["name"] == own.name.as_str());
        if let Some(own) = own.next() {
            resemble(container, own);
        }
    }
    pod
}

/// A privileged pod of no job, with the image and the resources of a job's pod.
pub(super) fn privileged_like(like: Option<&objects::Pod>) -> Value {
    let mut pod = pod_like(like);
    pod["metadata"]["labels"] = json!({});
    if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
        containers.truncate(1);
    }
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    pod
}

fn resemble(container: &mut Value, own: &objects::Container) {
    let compute = |map: &Map| {
        let mut map = map.clone();
        map.retain(|resource, _| COMPUTE.contains(&resource.as_str()));
        map
    };
    if !own.image.is_empty() {
        container["image"] = own.image.as_str().into();
    }
    container["resources"] = json!({
        "requests": compute(&own.resources.requests),
        "limits": compute(&own.resources.limits),
    });
}

/// The newest pod of a job. One of the doctor's own is none.
pub(super) fn newest(pods: &Look<Vec<objects::Pod>>) -> Option<&objects::Pod> {
    let pods = pods.seen()?.iter();
    let pods = pods.filter(|pod| !is_of_trial(pod));
    pods.max_by_key(|pod| &pod.metadata.creation_timestamp)
}

/// The pod that the runner gets in `namespace`, or the sentence of a denial.
pub(super) fn corrected(namespace: &Namespace, settings: &Settings<'_>) -> Result<Value, String> {
    let mut corrected = pod();
    let text = corrected.to_string();
    match decide(&text, namespace, settings) {
        Outcome::Deny(denial) => Err(denial.message),
        Outcome::Allow(_) => Ok(corrected),
        Outcome::Mutate(patch) => match json_patch::patch(&mut corrected, &patch) {
            Ok(()) => Ok(corrected),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Whether podseal corrected `pod`, which the API server returned: whether there is nothing
/// left to correct.
pub(super) fn is_corrected(pod: &Value, namespace: &Namespace, settings: &Settings<'_>) -> bool {
    let outcome = decide(&pod.to_string(), namespace, settings);
    matches!(outcome, Outcome::Allow(Allowed::AlreadyRight))
}

/// Whether podseal denies `pod` to `user`.
pub(super) fn is_denied(
    pod: &Value,
    user: Option<&str>,
    namespace: &Namespace,
    settings: &Settings<'_>,
) -> bool {
    let text = pod.to_string();
    let Ok(pod) = serde_json::from_str::<Pod<'_>>(&text) else {
        return false;
    };
    let mut request = Request::create(pod, &namespace.name);
    request.user_info.username = user.map(Into::into);
    // In the mode audit a denial is only recorded.
    let decision = validate(request, namespace, settings);
    matches!(decision.answer(), Answer::Deny(_))
}

/// What podseal decides of the pod in `text`, if its runner creates it.
fn decide(text: &str, namespace: &Namespace, settings: &Settings<'_>) -> Outcome {
    let Ok(pod) = serde_json::from_str::<Pod<'_>>(text) else {
        return Outcome::Allow(Allowed::NotAPod);
    };
    let mut request = Request::create(pod, &namespace.name);
    let policy = Policy::from_namespace(namespace, settings);
    let runner = policy.as_ref().and_then(Policy::runner);
    request.user_info.username = runner.map(Into::into);
    mutate(request, namespace, settings).outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::TRIAL_LABEL;

    fn of_a_job(name: &str, labels: &Value) -> objects::Pod {
        let resources = json!({"requests": {"cpu": "2", "github.com/fuse": "1"}});
        let pod = json!({
            "metadata": {"name": name, "creationTimestamp": name, "labels": labels},
            "spec": {"containers": [{"name": "build", "image": "own/podman", "resources": resources}]},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn a_pod_like_a_job_has_its_image_and_what_it_requests_of_the_node() {
        let pod = pod_like(Some(&of_a_job("a", &json!({}))));
        let [build, helper] = [0, 1].map(|at| &pod["spec"]["containers"][at]);
        assert_eq!(build["image"], "own/podman");
        let requests = &build["resources"]["requests"];
        assert_eq!(*requests, json!({"cpu": "2"}), "fuse is podseal's matter");
        assert_eq!(*helper, json!({"name": "helper", "image": IMAGE}));
        assert_eq!(pod_like(None), super::pod());
    }

    #[test]
    fn the_newest_job_is_none_of_the_doctors_own() {
        let pods = ["2026-01-01", "2026-01-02"].map(|time| of_a_job(time, &json!({})));
        let own = of_a_job("2026-01-03", &json!({TRIAL_LABEL: "trial"}));
        let all = Look::Seen([&pods[..], &[own]].concat());
        assert_eq!(newest(&all), Some(&pods[1]));
    }

    #[test]
    fn podseal_denies_a_privileged_pod_except_in_the_mode_audit() {
        let denied = |mode: &str| {
            let labels = [("profile", "root"), ("mode", mode)];
            let labels = labels.map(|(key, value)| (format!("podseal.io/{key}"), value.to_owned()));
            let namespace = Namespace::new("ci", labels, []);
            is_denied(
                &privileged_like(None),
                None,
                &namespace,
                &Settings::built_in(),
            )
        };
        assert!(denied("enforce"));
        assert!(!denied("audit"));
    }
}
