//! Pods with the values that the controls of the Pod Security Standards evaluate.
//!
//! A [`FieldValue`] is a field that some control reads, with a value that it allows
//! or forbids. Each is tried by itself, in every place where it exists, on pods
//! without other violations, and then several at once, at random. With pods that
//! violate everything, a missing check would show only where all other checks
//! agree.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::security_fields::{container_fields, context_fields, handlers, pod_fields};

/// A field, from the pod's root, and its value.
pub type FieldValue = (String, Value);

const CONTAINERS: [&str; 3] = [
    "/spec/initContainers/0",
    "/spec/containers/0",
    "/spec/ephemeralContainers/0",
];

/// Pods to start from: as strict as possible, the same with as much as possible set
/// by the pod, and without any setting; each for Linux, for Windows, and in a user
/// namespace.
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
            set(&mut pod, &(format!("/spec/{field}"), value));
            pod
        };
        starts.push(with("os", json!({"name": "windows"})));
        starts.push(with("hostUsers", json!(false)));
        starts.push(start);
    }
    starts
}

/// Sets the field in `pod`, with missing parent objects.
pub fn set(pod: &mut Value, (path, value): &FieldValue) {
    let mut at = pod;
    for key in path.split('/').skip(1) {
        at = match key.parse::<usize>() {
            Ok(index) => match at.get_mut(index) {
                Some(_) => &mut at[index],
                // Another edit has removed the list.
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

/// Every value of every field, at every place that has it.
pub fn field_values() -> Vec<FieldValue> {
    let mut edits = Vec::new();
    let mut add = |at: &str, (field, values): (&str, Value)| {
        let values = values.as_array().expect("a list of values");
        edits.extend(values.iter().map(|v| (format!("{at}/{field}"), v.clone())));
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
    edits
}

/// A start with several values set one after the other.
pub fn pods() -> impl Strategy<Value = Value> {
    let some = prop::collection::vec(prop::sample::select(field_values()), 0..8);
    (prop::sample::select(starts()), some).prop_map(|(mut pod, edits)| {
        for edit in &edits {
            set(&mut pod, edit);
        }
        pod
    })
}
