//! Pods that try the doors of the Pod Security Standards.
//!
//! A *door* is a field that some control reads, with a value that opens or
//! shuts it. Each is tried by itself, in every place where it exists, on pods
//! that are right but for it, and then several at once, at random. Pods that
//! are wrong in everything would tell a check from its absence only where all
//! other checks agree.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::security_doors::{container_fields, context_fields, handlers, pod_fields};

/// A field, from the pod's root, and what to put there.
pub type Door = (String, Value);

const CONTAINERS: [&str; 3] = [
    "/spec/initContainers/0",
    "/spec/containers/0",
    "/spec/ephemeralContainers/0",
];

/// Pods to start from: as strict as can be, the same with as much as possible
/// said by the pod, and saying nothing at all; each for Linux, for Windows, and
/// in a user namespace.
pub fn starts() -> Vec<Value> {
    let own = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    let inheriting = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let pods = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let mut starts = Vec::new();
    for (pod, container) in [
        (Value::Null, own),
        (pods, inheriting),
        (Value::Null, Value::Null),
    ] {
        let named = |name: &str| json!({"name": name, "securityContext": container});
        let start = json!({"metadata": {"name": "p"}, "spec": {"securityContext": pod,
            "initContainers": [named("init")],
            "containers": [named("build"), named("helper")],
            "ephemeralContainers": [named("debug")]}});
        let with = |field: &str, value: Value| {
            let mut pod = start.clone();
            open(&mut pod, &(format!("/spec/{field}"), value));
            pod
        };
        starts.push(with("os", json!({"name": "windows"})));
        starts.push(with("hostUsers", json!(false)));
        starts.push(start);
    }
    starts
}

/// Puts the door's value into `pod`, with the objects on the way to it.
pub fn open(pod: &mut Value, (path, value): &Door) {
    let mut at = pod;
    for key in path.split('/').skip(1) {
        at = match key.parse::<usize>() {
            Ok(index) => match at.get_mut(index) {
                Some(_) => &mut at[index],
                // Another door has taken the list away.
                None => return,
            },
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                // `~1` is how a JSON Pointer writes the `/` of an annotation.
                &mut at[key.replace("~1", "/")]
            }
        };
    }
    *at = value.clone();
}

/// Every door, at every place that has it.
pub fn doors() -> Vec<Door> {
    let mut doors = Vec::new();
    let mut add = |at: &str, (field, values): (&str, Value)| {
        let values = values.as_array().expect("a list of values");
        doors.extend(values.iter().map(|v| (format!("{at}/{field}"), v.clone())));
    };
    for place in CONTAINERS.into_iter().chain(["/spec"]) {
        for field in context_fields() {
            add(&format!("{place}/securityContext"), field);
        }
        add(place, ("securityContext", json!([null, {}])));
    }
    for container in CONTAINERS {
        for field in container_fields() {
            add(container, field);
        }
        for handler in [
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle/postStart",
            "lifecycle/preStop",
        ] {
            add(container, (handler, handlers()));
        }
    }
    for field in pod_fields() {
        add("", field);
    }
    doors
}

/// A start with several doors opened one after the other.
pub fn pods() -> impl Strategy<Value = Value> {
    let some = prop::collection::vec(prop::sample::select(doors()), 0..8);
    (prop::sample::select(starts()), some).prop_map(|(mut pod, doors)| {
        for door in &doors {
            open(&mut pod, door);
        }
        pod
    })
}
