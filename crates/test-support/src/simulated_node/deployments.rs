//! The controller of Deployments: how many pods of which template there are.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::api::{Api, Trouble, is_leaving, is_ready, name, says};

const HASH: &str = "pod-template-hash";

/// Takes each Deployment a step towards its spec, and the pods of those that are
/// gone.
pub(super) fn reconcile(api: &Api, deployments: &[Value], pods: &[Value]) -> Result<(), Trouble> {
    let mut orphans = pods.iter().filter(|pod| {
        let owner = owner(pod);
        !owner.is_null()
            && !deployments
                .iter()
                .any(|all| all["metadata"]["uid"] == *owner)
    });
    let collected = orphans
        .by_ref()
        .filter(|pod| !is_leaving(pod))
        .map(|pod| api.delete_pod(pod, false));
    let rolled = deployments.iter().map(|deployment| {
        let uid = &deployment["metadata"]["uid"];
        let own: Vec<_> = pods.iter().filter(|pod| owner(pod) == uid).collect();
        roll(api, deployment, &own)
    });
    // All of them, even if one fails.
    let results: Vec<_> = collected.chain(rolled).collect();
    results.into_iter().collect()
}

/// The uid of the Deployment that a pod is of.
fn owner(pod: &Value) -> &Value {
    let owner = &pod["metadata"]["ownerReferences"][0];
    match owner["kind"] == "Deployment" {
        true => &owner["uid"],
        false => &Value::Null,
    }
}

fn roll(api: &Api, deployment: &Value, pods: &[&Value]) -> Result<(), Trouble> {
    let template = &deployment["spec"]["template"];
    let hash = hash(template);
    let desired = count(&deployment["spec"]["replicas"]).unwrap_or(1);
    let (surge, unavailable) = slack(&deployment["spec"]["strategy"], desired);
    let staying = pods.iter().copied().filter(|pod| !is_leaving(pod));
    let (new, old): (Vec<_>, Vec<_>) =
        staying.partition(|pod| pod["metadata"]["labels"][HASH] == *hash);
    let ready = |pods: &[&Value]| pods.iter().filter(|pod| is_ready(pod)).count();
    let available = ready(&new) + ready(&old);
    // Any number of pods that are not ready may be removed.
    let spare = available.saturating_sub(desired.saturating_sub(unavailable));
    let surplus = new.len().saturating_sub(desired);
    let (idle, serving): (Vec<_>, Vec<_>) = old.iter().partition(|pod| !is_ready(pod));
    let leave = idle
        .into_iter()
        .chain(serving.into_iter().take(spare))
        .chain(new.iter().take(surplus));
    for pod in leave {
        api.delete_pod(pod, false)?;
    }
    let total = new.len() + old.len();
    if new.len() < desired && total < desired + surge {
        api.post("/api/v1", "pods", &pod_of(deployment, &hash))?;
    }
    let status = status(
        deployment,
        total,
        new.len(),
        available,
        desired,
        unavailable,
    );
    if !says(&deployment["status"], &status) {
        let object = format!("deployments/{}/status", name(deployment));
        let current = &deployment["status"]["conditions"];
        let patch = json!({"status": dated(status, current)});
        api.patch("/apis/apps/v1", &object, &patch)?;
    }
    Ok(())
}

/// A pod of the template, as it is sent to the API server.
fn pod_of(deployment: &Value, hash: &str) -> Value {
    let template = &deployment["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels[HASH] = hash.into();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-{hash}-", name(deployment)),
            "labels": labels,
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": name(deployment),
                "uid": deployment["metadata"]["uid"],
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": template["spec"],
    })
}

fn status(
    deployment: &Value,
    total: usize,
    updated: usize,
    available: usize,
    desired: usize,
    unavailable: usize,
) -> Value {
    let is_complete = total == desired && updated == desired && available == desired;
    let (is_available, progress) = (
        available + unavailable >= desired,
        match is_complete {
            true => "NewReplicaSetAvailable",
            false => "ReplicaSetUpdated",
        },
    );
    json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": available,
        "availableReplicas": available,
        "unavailableReplicas": desired.saturating_sub(available),
        "conditions": [
            {
                "type": "Available",
                "status": if is_available { "True" } else { "False" },
                "reason": if is_available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" },
            },
            {"type": "Progressing", "status": "True", "reason": progress},
        ],
    })
}

/// The same with the times of its conditions.
fn dated(mut status: Value, current: &Value) -> Value {
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let current: Vec<_> = current.as_array().into_iter().flatten().collect();
    for condition in status["conditions"].as_array_mut().expect("conditions") {
        let before = current.iter().find(|before| {
            before["type"] == condition["type"] && before["status"] == condition["status"]
        });
        let since = before.map(|before| before["lastTransitionTime"].clone());
        condition["lastTransitionTime"] = since.unwrap_or_else(|| now.as_str().into());
        condition["lastUpdateTime"] = now.as_str().into();
    }
    status
}

/// How many pods there may be above the number, and how many of it may be away.
fn slack(strategy: &Value, desired: usize) -> (usize, usize) {
    if strategy["type"] == "Recreate" {
        return (0, desired);
    }
    let of = |field: &str, round_up: bool| {
        let value = &strategy["rollingUpdate"][field];
        let share = value.as_str().and_then(|text| text.strip_suffix('%'));
        match share.and_then(|share| share.parse::<usize>().ok()) {
            Some(share) if round_up => (desired * share).div_ceil(100),
            Some(share) => desired * share / 100,
            None => count(value).unwrap_or(0),
        }
    };
    match (of("maxSurge", true), of("maxUnavailable", false)) {
        // Or it would never get anywhere.
        (0, 0) => (0, 1),
        slack => slack,
    }
}

fn count(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn hash(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    let hash = format!("{:x}", hasher.finish());
    hash[..hash.len().min(10)].to_owned()
}
