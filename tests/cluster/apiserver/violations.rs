//! Every violation of the Pod Security Standards, one at a time, through the API
//! server: what a rejection reports, in a namespace of either level.
//!
//! `tests/offline/pod_security.rs` compares with the reference which values are
//! violations. This tests that the API server calls podseal for every list of
//! containers, and that the response reaches the user.

mod alone;
mod table;

use std::collections::HashSet;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER};
use support::text;
use table::Violation;

use crate::apiserver::{CLUSTER, complying_pod, ephemeral, rejection};

/// A list of containers, its container in [`complying_pod`], and the name of its
/// kind in a rejection.
const PLACES: [(&str, &str, &str); 3] = [
    ("initContainers", "setup", "init container"),
    ("containers", "app", "container"),
    ("ephemeralContainers", "debug", "ephemeral container"),
];

/// Violations that the API server itself rejects, so that they never reach podseal.
fn is_impossible(violation: &Violation, list: &str) -> bool {
    // An ephemeral container has neither ports nor probes nor hooks.
    list == "ephemeralContainers"
        && ["hostPorts", "hostProbesAndHostLifecycle"].contains(&violation.control)
}

/// A namespace at `level` where no pod is a job's.
fn namespace_at(level: &str) -> String {
    CLUSTER.namespace_with(&[("profile", "none"), ("level", level)], &[])
}

/// [`complying_pod`] with the violation in the container of `list`; for an ephemeral
/// container, that container by itself as well.
fn violating(violation: &Violation, list: &str) -> (Value, Option<Value>) {
    let mut pod = complying_pod("violating");
    json_patch::merge(&mut pod["spec"], &violation.spec);
    if list == "ephemeralContainers" {
        let mut debug = pod["spec"]["containers"][0].clone();
        debug["name"] = json!("debug");
        json_patch::merge(&mut debug, &violation.change);
        return (pod, Some(debug));
    }
    let container = &mut pod["spec"][list][0];
    json_patch::merge(container, &violation.change);
    if list == "initContainers" && violation.control == "hostProbesAndHostLifecycle" {
        // Of the init containers only a sidecar has probes and hooks.
        container["restartPolicy"] = json!("Always");
    }
    (pod, None)
}

/// The API server's response to the violation in `namespace`.
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

/// The rejection has the violation's field, value and control at `place`, and no
/// other control than those in `also`.
fn assert_reports(message: &str, place: &str, violation: &Violation, namespace: &str, level: &str) {
    let (field, value) = violation.reported;
    let control = violation.control;
    let holds = format!("; namespace \"{namespace}\" requires every pod to meet {level} (");
    let (reported, rest) = message.split_once(&holds).expect(message);
    let clause = format!("{place}, {field}: {value} is forbidden by the control {control}");
    let clauses: Vec<_> = reported.split("; ").collect();
    assert!(
        clauses.contains(&&*clause),
        "{clause}\nis not in\n{message}"
    );
    for clause in clauses {
        let (_, named) = clause.rsplit_once(' ').expect("a clause has words");
        let known = named == control || level == "restricted" && violation.also.contains(&named);
        assert!(known, "{control} reported as well: {message}");
    }
    assert!(rest.contains("podseal.io/level"), "{message}");
    assert!(rest.contains("to fix this, "), "{message}");
    assert!(
        !message.contains('\n') && !message.ends_with('.'),
        "{message}"
    );
}

fn violations_of_containers(level: &str) -> Vec<Violation> {
    let mut violations = table::of_containers_at_baseline();
    if level == "restricted" {
        violations.extend(table::of_containers_at_restricted());
    }
    violations
}

fn violations_of_pods(level: &str) -> Vec<Violation> {
    let mut violations = table::of_the_pod_at_baseline();
    if level == "restricted" {
        violations.extend(table::of_the_pod_at_restricted());
    }
    violations
}

fn every_violation_in_containers_is_rejected_at(level: &str) {
    let (namespace, unlabelled) = (namespace_at(level), CLUSTER.namespace(None));
    for (number, violation) in violations_of_containers(level).iter().enumerate() {
        for (list, container, place) in PLACES {
            let (field, value) = violation.reported;
            let what = format!("{} {field}={value} on {container}", violation.control);
            let violating = violating(violation, list);
            let name = format!("violation-{number}");
            let (code, answer) = tried(&unlabelled, &violating, &name);
            if is_impossible(violation, list) {
                assert_eq!(code, 422, "the API server takes it now: {what} {answer:#}");
                continue;
            }
            assert!(
                [200, 201].contains(&code),
                "{what}, without podseal: {answer:#}"
            );
            let place = format!("{place} \"{container}\"");
            let answer = tried(&namespace, &violating, &name);
            let message = rejection(&answer, &what);
            assert_reports(message, &place, violation, &namespace, level);
        }
    }
}

#[test]
fn every_violation_in_a_container_is_rejected_at_baseline() {
    every_violation_in_containers_is_rejected_at("baseline");
}

#[test]
fn every_violation_in_a_container_is_rejected_at_restricted() {
    every_violation_in_containers_is_rejected_at("restricted");
}

#[test]
fn every_violation_of_the_pod_itself_is_rejected_at_both_levels() {
    let unlabelled = CLUSTER.namespace(None);
    for level in ["baseline", "restricted"] {
        let namespace = namespace_at(level);
        for violation in violations_of_pods(level) {
            let what = format!(
                "{} {}={}",
                violation.control, violation.reported.0, violation.reported.1
            );
            let mut pod = complying_pod("violating");
            json_patch::merge(&mut pod, &violation.change);
            let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
            assert_eq!(code, 201, "{what}, without podseal: {answer:#}");
            let answer = CLUSTER.plane.try_pod(&namespace, &pod);
            assert_reports(
                rejection(&answer, &what),
                "pod",
                &violation,
                &namespace,
                level,
            );
        }
    }
}

#[test]
fn every_control_is_named_in_what_kubectl_prints() {
    let level = "restricted";
    let namespace = namespace_at(level);
    let mut seen = HashSet::new();
    let regular = violations_of_containers(level)
        .into_iter()
        .map(|violation| {
            let (pod, _) = violating(&violation, "containers");
            (violation, pod, "container \"app\"")
        });
    let of_pods = violations_of_pods(level).into_iter().map(|violation| {
        let mut pod = complying_pod("violating");
        json_patch::merge(&mut pod, &violation.change);
        (violation, pod, "pod")
    });
    for (violation, pod, place) in regular.chain(of_pods) {
        if !seen.insert(violation.control) {
            continue;
        }
        let args = ["create", "-n", &namespace, "-f", "-"];
        let output = CLUSTER.plane.kubectl(RUNNER, &args, &pod.to_string());
        let printed = text(&output.stderr);
        let beginning = "Error from server (Forbidden): error when creating \"STDIN\": admission \
                         webhook \"validate.podseal.io\" denied the request: ";
        let message = printed.trim_end().strip_prefix(beginning).expect(&printed);
        assert_reports(message, place, &violation, &namespace, level);
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
