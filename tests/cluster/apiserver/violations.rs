//! Every door of the Pod Security Standards, one at a time, through the API
//! server: what a rejection says, in a namespace of either level.
//!
//! Whether a pod is one or not is compared with the reference elsewhere
//! (`tests/offline/pod_security.rs`); here it is that podseal is asked at all, about
//! every list of containers, and that its answer reaches the reader.

mod alone;
mod table;

use std::collections::HashSet;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER};
use support::text;
use table::Door;

use crate::apiserver::{CLUSTER, complying_pod, ephemeral, rejection};

/// A list of containers, its container in [`complying_pod`], and how a rejection
/// calls one.
const PLACES: [(&str, &str, &str); 3] = [
    ("initContainers", "setup", "init container"),
    ("containers", "app", "container"),
    ("ephemeralContainers", "debug", "ephemeral container"),
];

/// What the API server refuses by itself, so that nobody can come this way.
fn is_shut(door: &Door, list: &str) -> bool {
    // An ephemeral container has neither ports nor probes nor hooks.
    list == "ephemeralContainers"
        && ["hostPorts", "hostProbesAndHostLifecycle"].contains(&door.control)
}

/// A namespace at `level` where no pod is a job's.
fn namespace_at(level: &str) -> String {
    CLUSTER.namespace_with(&[("profile", "none"), ("level", level)], &[])
}

/// [`complying_pod`] with the door in the container of `list`; for an ephemeral
/// container, that container by itself as well.
fn opened(door: &Door, list: &str) -> (Value, Option<Value>) {
    let mut pod = complying_pod("door");
    json_patch::merge(&mut pod["spec"], &door.spec);
    if list == "ephemeralContainers" {
        let mut debug = pod["spec"]["containers"][0].clone();
        debug["name"] = json!("debug");
        json_patch::merge(&mut debug, &door.change);
        return (pod, Some(debug));
    }
    let container = &mut pod["spec"][list][0];
    json_patch::merge(container, &door.change);
    if list == "initContainers" && door.control == "hostProbesAndHostLifecycle" {
        // Of the init containers only a sidecar has probes and hooks.
        container["restartPolicy"] = json!("Always");
    }
    (pod, None)
}

/// What the API server says of the door in `namespace`.
fn tried(namespace: &str, (pod, debug): &(Value, Option<Value>), name: &str) -> (u16, Value) {
    let Some(debug) = debug else {
        return CLUSTER.plane.try_pod(namespace, pod);
    };
    let mut pod = pod.clone();
    pod["metadata"]["name"] = name.into();
    let (code, answer) = CLUSTER.plane.create_pod(namespace, &pod);
    assert_eq!(code, 201, "harmless by itself: {answer:#}");
    ephemeral(ADMIN, namespace, name, debug)
}

/// The rejection tells the door's field, value and control at `place`, and no
/// other control than it must.
fn assert_tells(message: &str, place: &str, door: &Door, namespace: &str, level: &str) {
    let (field, value) = door.told;
    let control = door.control;
    let holds = format!("; namespace \"{namespace}\" requires every pod to meet {level} (");
    let (told, rest) = message.split_once(&holds).expect(message);
    let clause = format!("{place}, {field}: {value} is forbidden by the control {control}");
    let clauses: Vec<_> = told.split("; ").collect();
    assert!(
        clauses.contains(&&*clause),
        "{clause}\nis not in\n{message}"
    );
    for clause in clauses {
        let (_, named) = clause.rsplit_once(' ').expect("a clause has words");
        let known = named == control || level == "restricted" && door.also.contains(&named);
        assert!(known, "{control} told as well: {message}");
    }
    assert!(rest.contains("podseal.io/level"), "{message}");
    assert!(rest.contains("to fix this, "), "{message}");
    assert!(
        !message.contains('\n') && !message.ends_with('.'),
        "{message}"
    );
}

fn containers_doors(level: &str) -> Vec<Door> {
    let mut doors = table::of_containers_at_baseline();
    if level == "restricted" {
        doors.extend(table::of_containers_at_restricted());
    }
    doors
}

fn pods_doors(level: &str) -> Vec<Door> {
    let mut doors = table::of_the_pod_at_baseline();
    if level == "restricted" {
        doors.extend(table::of_the_pod_at_restricted());
    }
    doors
}

fn every_door_of_containers_is_shut_at(level: &str) {
    let (namespace, unlabelled) = (namespace_at(level), CLUSTER.namespace(None));
    for (number, door) in containers_doors(level).iter().enumerate() {
        for (list, container, place) in PLACES {
            let (field, value) = door.told;
            let what = format!("{} {field}={value} on {container}", door.control);
            let opened = opened(door, list);
            let name = format!("door-{number}");
            let (code, answer) = tried(&unlabelled, &opened, &name);
            if is_shut(door, list) {
                assert_eq!(code, 422, "the API server takes it now: {what} {answer:#}");
                continue;
            }
            assert!(
                [200, 201].contains(&code),
                "{what}, without podseal: {answer:#}"
            );
            let place = format!("{place} \"{container}\"");
            let answer = tried(&namespace, &opened, &name);
            let message = rejection(&answer, &what);
            assert_tells(message, &place, door, &namespace, level);
        }
    }
}

#[test]
fn every_violation_in_a_container_is_rejected_at_baseline() {
    every_door_of_containers_is_shut_at("baseline");
}

#[test]
fn every_violation_in_a_container_is_rejected_at_restricted() {
    every_door_of_containers_is_shut_at("restricted");
}

#[test]
fn every_violation_of_the_pod_itself_is_rejected_at_both_levels() {
    let unlabelled = CLUSTER.namespace(None);
    for level in ["baseline", "restricted"] {
        let namespace = namespace_at(level);
        for door in pods_doors(level) {
            let what = format!("{} {}={}", door.control, door.told.0, door.told.1);
            let mut pod = complying_pod("door");
            json_patch::merge(&mut pod, &door.change);
            let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
            assert_eq!(code, 201, "{what}, without podseal: {answer:#}");
            let answer = CLUSTER.plane.try_pod(&namespace, &pod);
            assert_tells(rejection(&answer, &what), "pod", &door, &namespace, level);
        }
    }
}

#[test]
fn every_control_is_named_in_what_kubectl_prints() {
    let level = "restricted";
    let namespace = namespace_at(level);
    let mut seen = HashSet::new();
    let regular = containers_doors(level).into_iter().map(|door| {
        let (pod, _) = opened(&door, "containers");
        (door, pod, "container \"app\"")
    });
    let of_pods = pods_doors(level).into_iter().map(|door| {
        let mut pod = complying_pod("door");
        json_patch::merge(&mut pod, &door.change);
        (door, pod, "pod")
    });
    for (door, pod, place) in regular.chain(of_pods) {
        if !seen.insert(door.control) {
            continue;
        }
        let args = ["create", "-n", &namespace, "-f", "-"];
        let output = CLUSTER.plane.kubectl(RUNNER, &args, &pod.to_string());
        let printed = text(&output.stderr);
        let beginning = "Error from server (Forbidden): error when creating \"STDIN\": admission \
                         webhook \"validate.podseal.io\" denied the request: ";
        let message = printed.trim_end().strip_prefix(beginning).expect(&printed);
        assert_tells(message, place, &door, &namespace, level);
    }
    // With hostProcess, in `alone`, that is every control of the Standards.
    assert_eq!(seen.len() + 1, 15, "{seen:?}");
}

#[test]
fn a_complying_pod_and_a_complying_ephemeral_container_pass_at_both_levels() {
    for level in ["baseline", "restricted"] {
        let namespace = namespace_at(level);
        let pod = complying_pod("complies");
        let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
        assert_eq!(code, 201, "{level}: {answer:#}");
        let mut debug = pod["spec"]["containers"][0].clone();
        debug["name"] = json!("debug");
        let (code, answer) = ephemeral(ADMIN, &namespace, "complies", &debug);
        assert_eq!(code, 200, "{level}: {answer:#}");
    }
}
