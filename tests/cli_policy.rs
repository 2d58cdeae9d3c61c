//! `podseal review` with the questions of policy: level, mode, who, and what is
//! done.

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::text;

mod support;

fn review(args: &[&str], pod: &Value) -> (Output, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "-o", "json"]).args(args).arg("-");
    let output = support::run(command, &pod.to_string());
    let line = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output, line)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn privileged_service() -> Value {
    support::pod("privileged-with-service")
}

#[test]
fn a_violation_is_told_with_control_container_field_and_value() {
    let (output, line) = review(&["--profile", "rootless"], &privileged_service());
    assert_eq!(code(&output), Some(1));
    assert_eq!(
        (&line["decision"], &line["level"]),
        (&json!("deny"), &json!("baseline"))
    );
    let violation = json!({
        "control": "privileged",
        "container": "docker",
        "field": "securityContext.privileged",
        "value": "true",
    });
    assert_eq!(line["violations"], json!([violation]));
}

#[test]
fn level_and_mode_can_be_tried() {
    let (output, line) = review(
        &["--profile", "rootless", "--level", "privileged"],
        &privileged_service(),
    );
    assert_eq!(
        (code(&output), &line["decision"]),
        (Some(0), &json!("mutate"))
    );
    for mode in ["warn", "audit"] {
        let args = ["--profile", "rootless", "--mode", mode];
        let (output, line) = review(&args, &privileged_service());
        assert_eq!(code(&output), Some(0), "{mode}");
        assert_eq!(
            (&line["allowed"], &line["decision"]),
            (&json!(true), &json!("deny"))
        );
        assert_eq!(line["patch"].is_null(), mode == "audit", "{mode}");
    }
}

#[test]
fn who_creates_the_pod_can_be_said_and_is_the_named_runner_otherwise() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    let namespace = "kind: Namespace\nmetadata:\n  name: gitlab-ci\n  \
        labels: {podseal.io/profile: privileged}\n  annotations: {podseal.io/runner: 'a:b, c'}\n";
    std::fs::write(namespaces.path(), namespace).expect("the namespaces");
    let path = namespaces.path().display().to_string();
    let (output, _) = review(&["--namespaces", &path], &privileged_service());
    assert_eq!(code(&output), Some(0), "as the runner a:b");
    let (output, _) = review(&["--namespaces", &path, "--as", "c"], &privileged_service());
    assert_eq!(code(&output), Some(0));
    let (output, line) = review(
        &["--namespaces", &path, "--as", "mallory"],
        &privileged_service(),
    );
    assert_eq!(code(&output), Some(1));
    assert_eq!(line["changes"], json!([]), "no correction");
}

#[test]
fn an_update_is_judged_without_grants_and_without_a_correction() {
    let args = ["--profile", "privileged", "--operation", "UPDATE"];
    let (output, line) = review(&args, &privileged_service());
    assert_eq!(code(&output), Some(1));
    assert_eq!(line["changes"], json!([]));
    assert_eq!(
        line["violations"].as_array().map(Vec::len),
        Some(4),
        "{line:#}"
    );
}

#[test]
fn a_runner_can_be_required() {
    let args = ["--profile", "privileged", "--require-runner"];
    let (output, line) = review(&args, &privileged_service());
    assert_eq!(code(&output), Some(1));
    assert!(
        line["message"]
            .as_str()
            .is_some_and(|m| m.contains("podseal.io/runner")),
        "{line:#}"
    );
}

#[test]
fn labels_that_mean_nothing_without_a_profile_are_told() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    let namespace = "kind: Namespace\nmetadata: {name: gitlab-ci, labels: {podseal.io/level: \
        restricted, podseal.io/mode: audit}}\n";
    std::fs::write(namespaces.path(), namespace).expect("the namespaces");
    let path = namespaces.path().display().to_string();
    let (_, line) = review(&["--namespaces", &path], &privileged_service());
    assert_eq!(
        line["warnings"],
        json!([
            "label podseal.io/level has no effect without podseal.io/profile",
            "label podseal.io/mode has no effect without podseal.io/profile",
        ])
    );
}
