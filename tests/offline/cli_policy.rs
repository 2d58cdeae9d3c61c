//! `podseal review` with the questions of policy: level, mode, who, and what is
//! done.

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::text;

fn review(args: &[&str], pod: &Value) -> (Output, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "-o", "json"]).args(args).arg("-");
    let output = support::run(command, &pod.to_string());
    let line = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output, line)
}

/// What it prints for people.
fn shown(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.arg("review").args(args).arg("-");
    text(&support::run(command, &privileged_service().to_string()).stdout)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn privileged_service() -> Value {
    cases::fixture("privileged-with-service")
}

#[test]
fn a_violation_is_shown_with_control_container_field_and_value() {
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
fn level_and_mode_can_be_overridden() {
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
fn the_pods_creator_can_be_given_and_is_the_named_runner_by_default() {
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
fn an_update_is_validated_without_grants_and_without_a_correction() {
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
fn a_runner_is_required_unless_that_is_turned_off_and_the_review_shows_what_it_assumed() {
    for (more, required) in [
        (&[][..], true),
        (&["--require-runner"], true),
        (&["--require-runner=true"], true),
        (&["--require-runner=false"], false),
    ] {
        let args = [&["--profile", "privileged"][..], more].concat();
        let (output, line) = review(&args, &privileged_service());
        assert_eq!(line["requireRunner"], required, "{more:?}");
        assert_eq!(code(&output), Some(i32::from(required)), "{more:?}");
        let message = line["message"].as_str().unwrap_or_default();
        let is_unnamed = message.contains("does not name the user that creates its job pods");
        assert_eq!(is_unnamed, required, "{line:#}");
        let printed = shown(&args);
        let assumed = match required {
            true => "assumed: --require-runner (the default of serve): jobs require a named runner",
            false => "assumed: --require-runner=false: anyone who creates pods gets the grants",
        };
        assert!(printed.contains(assumed), "{printed}");
        // Nothing is granted to anyone where every job is denied.
        let warning = "warning: the profile grants more than the baseline to anyone";
        assert_eq!(printed.contains(warning), !required, "{printed}");
    }
}

#[test]
fn the_required_runner_is_not_mentioned_if_the_decision_does_not_depend_on_it() {
    let runner = "podseal.io/runner=system:serviceaccount:gitlab:gitlab-runner";
    for args in [
        &["--profile", "rootless"][..],
        &["--profile", "privileged", "--level", "restricted"],
        &["--profile", "privileged", "--annotation", runner],
    ] {
        let printed = shown(args);
        assert!(!printed.contains("assumed:"), "{printed}");
    }
    let args = ["--profile", "privileged", "--annotation", runner];
    let (output, line) = review(&args, &privileged_service());
    assert_eq!(code(&output), Some(0), "{line:#}");
    assert_eq!(line["requireRunner"], true);
}

#[test]
fn require_runner_accepts_only_true_and_false_and_a_file_after_it_is_a_file() {
    for argument in ["--require-runner=no", "--require-runner="] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args(["review", "--profile", "none", argument, "-"]);
        let output = support::run(command, "");
        assert_eq!(code(&output), Some(2), "{argument}");
    }
    // `review` ends with `-`, which is not the argument's value.
    let (output, _) = review(
        &[
            "--profile",
            "rootless",
            "--level",
            "privileged",
            "--require-runner",
        ],
        &privileged_service(),
    );
    assert_eq!(code(&output), Some(0));
}

#[test]
fn user_namespaces_can_be_ignored() {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "own", "namespace": "ci"},
        "spec": {
            "hostUsers": false,
            "containers": [{"name": "app", "image": "x", "securityContext": {"procMount": "Unmasked"}}],
        },
    });
    let passes = |more: &[&str]| {
        let args = [&["--profile", "none"], more].concat();
        let (output, line) = review(&args, &pod);
        let is_said = line["message"].as_str().is_some_and(|message| {
            message.contains("procMount: Unmasked is forbidden")
                && message.contains("hostUsers: false does not relax this")
        });
        assert_eq!(code(&output) == Some(1), is_said, "{line:#}");
        code(&output) == Some(0)
    };
    assert!(passes(&[]));
    assert!(!passes(&["--ignore-user-namespaces"]));
}

#[test]
fn a_misspelt_label_is_reported_with_a_suggestion() {
    let warnings = |args: &[&str]| {
        let (_, line) = review(args, &privileged_service());
        line["warnings"].clone()
    };
    let misspelt = json!("label podseal.io/levle has no effect; did you mean podseal.io/level?");
    let args = ["--profile", "none", "--level", "privileged"];
    assert_eq!(warnings(&args), json!([]));
    let args = [&args[..], &["--label", "podseal.io/levle=restricted"]].concat();
    assert_eq!(warnings(&args), json!([misspelt]));
    let args = [
        "--label",
        "podseal.io/profil=none",
        "--label",
        "podseal.io/runner=x",
    ];
    assert_eq!(
        warnings(&args),
        json!([
            "label podseal.io/profil has no effect; did you mean podseal.io/profile?",
            "label podseal.io/runner has no effect, since it is an annotation",
        ])
    );
}

#[test]
fn where_a_namespace_rule_applies_messages_name_it_and_no_label() {
    let rules = tempfile::NamedTempFile::new().expect("a file");
    let text = "rules:\n\
        - {name: named, namespaces: {prefix: named-}, profile: rootless, runner: somebody}\n\
        - {name: trusting, namespaces: {prefix: trusting-}, profile: privileged}\n";
    std::fs::write(rules.path(), text).expect("the rules");
    let path = rules.path().display().to_string();
    let of = |args: &[&str], pod: &str| {
        let args = [&["--namespace-rules", &path, "-n"], args].concat();
        review(&args, &cases::fixture(pod)).1
    };
    let message = of(&["others"], "default-with-service")["message"].clone();
    assert_eq!(
        message,
        "the namespace has no label podseal.io/profile, and no namespace rule matches it"
    );
    let line = of(&["named-1", "--as", "mallory"], "default-with-service");
    let reported =
        "the pod has a job's labels, but its creator is not the runner of namespace rule named";
    assert!(
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with(reported)),
        "{line:#}"
    );
    let line = of(
        &["trusting-1", "--require-runner=false"],
        "default-with-service",
    );
    assert_eq!(
        line["warnings"][0],
        "the profile grants more than the baseline to anyone who puts a job's labels on a pod: the \
         namespace rule trusting names no runner"
    );
}

#[test]
fn the_old_flag_for_namespace_rules_warns_and_both_flags_are_an_error() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let rules = "rules: [{name: a, namespaces: {prefix: ci-job-}, profile: rootless}]";
    std::fs::write(file.path(), rules).expect("the file can be written");
    let review = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args(["review", "-n", "ci-job-1"]);
        for flag in flags {
            command.arg(flag).arg(file.path());
        }
        command.arg("tests/fixtures/pods/default-with-service.json");
        support::run(command, "")
    };
    let (new, old) = (review(&["--namespace-rules"]), review(&["--defaults"]));
    assert_eq!((new.status.code(), old.status.code()), (Some(0), Some(0)));
    assert_eq!(text(&new.stdout), text(&old.stdout));
    assert_eq!(text(&new.stderr), "");
    let warning = "--defaults is deprecated; use --namespace-rules instead";
    assert!(text(&old.stderr).contains(warning), "{old:?}");
    let both = review(&["--namespace-rules", "--defaults"]);
    assert_eq!(both.status.code(), Some(2));
    let reported = text(&both.stderr);
    for name in ["--namespace-rules", "--defaults"] {
        assert!(reported.contains(name), "{reported}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_podseal"))
        .args(["serve", "--help"])
        .output()
        .expect("it runs");
    let help = text(&help.stdout);
    assert!(help.contains("--namespace-rules") && !help.contains("--defaults"));
}

#[test]
fn the_usage_names_every_way_to_set_a_profile() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "pod.yaml"]);
    let reported = text(&support::run(command, "").stderr);
    let (_, usage) = reported.split_once("Usage: ").expect("a usage");
    for argument in ["--namespaces", "--profile", "--label", "--namespace-rules"] {
        assert!(usage.contains(argument), "{argument}: {reported}");
    }
}

#[test]
fn labels_that_have_no_effect_without_a_profile_are_reported() {
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
