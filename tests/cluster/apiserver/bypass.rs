//! Ways round podseal, each tried through the API server and named by the claim
//! that it does not work.
//!
//! The attacker creates pods, writes `.gitlab-ci.yml`, patches pods that are
//! there, owns another webhook, or reaches podseal's port.

mod direct;
mod grants;
mod later_webhook;
mod outage;
mod pods;
mod updates;

use serde_json::{Value, json};

use crate::apiserver::{CLUSTER, fixture};

/// The annotation `podseal.io/runner` for the runner of these tests.
const RUNNER_NAMED: [(&str, &str); 1] = [("runner", "system:serviceaccount:gitlab:gitlab-runner")];

/// A namespace that names its runner.
fn namespace_for(profile: &str, level: &str) -> String {
    CLUSTER.namespace_with(&[("profile", profile), ("level", level)], &RUNNER_NAMED)
}

/// A job's pod: `init-permissions`, `build`, `helper`, and the service `svc-0`.
fn job(name: &str) -> Value {
    let mut pod = fixture("default-with-service");
    pod["metadata"]["name"] = name.into();
    pod
}

/// The container called `name`, in either list.
fn container<'p>(pod: &'p mut Value, name: &str) -> &'p mut Value {
    let spec = pod["spec"].as_object_mut().expect("a spec");
    let lists = spec
        .iter_mut()
        .filter(|(key, _)| key.ends_with("ontainers"));
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("a container {name}"))
}

/// Sets a field of the container's `securityContext`.
fn secure(pod: &mut Value, name: &str, field: &str, value: Value) {
    container(pod, name)["securityContext"][field] = value;
}

/// Adds a container to a list of the pod.
fn add(pod: &mut Value, list: &str, name: &str, context: &Value) {
    let container = json!({"name": name, "image": "x", "securityContext": context});
    let list = &mut pod["spec"][list];
    match list.as_array_mut() {
        Some(list) => list.push(container),
        None => *list = json!([container]),
    }
}
