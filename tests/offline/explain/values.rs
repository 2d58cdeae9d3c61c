//! Where each value comes from.

use std::process::Command;

use serde_json::{Value, json};
use support::text;

use super::{BY_RULE, IN_CI, explain, job, json_of, value};

#[test]
fn the_source_of_a_value_is_a_label_annotation_rule_argument_profile_or_podseal() {
    let explained = &json_of(&IN_CI, &job())["explain"];
    let source = |name: &str| value(explained, name)["source"].clone();
    assert_eq!(source("profile"), "label");
    assert_eq!(source("run-as-user"), "annotation");
    assert_eq!(source("home"), "podseal");
    assert_eq!(source("level"), "podseal");
    assert_eq!(
        explained["unread"],
        json!(["label podseal.io/runner", "annotation podseal.io/hoem"])
    );
    let home = value(explained, "home");
    assert_eq!(
        (&home["value"], &home["inProfile"]),
        (&json!("/my_custom_dir"), &json!([]))
    );

    let arguments = [
        &IN_CI[..],
        &[
            "--level",
            "restricted",
            "--annotation",
            "podseal.io/home=/w",
        ],
    ];
    let explained = &json_of(&arguments.concat(), &job())["explain"];
    let source_of = |name: &str| {
        let found = value(explained, name);
        (
            found["value"].clone(),
            found["source"].clone(),
            found["argument"].clone(),
        )
    };
    assert_eq!(
        source_of("level"),
        (json!("restricted"), json!("argument"), json!("--level"))
    );
    assert_eq!(
        source_of("home"),
        (json!("/w"), json!("argument"), json!("--annotation"))
    );

    let explained = &json_of(&BY_RULE, &job())["explain"];
    for (name, expected) in [
        ("profile", "ours"),
        ("mode", "audit"),
        ("runner", "system:serviceaccount:gitlab:runner"),
        ("home", "/work"),
    ] {
        let found = value(explained, name);
        assert_eq!(
            (&found["value"], &found["source"]),
            (&json!(expected), &json!("rule")),
            "{name}"
        );
        assert_eq!(found["rule"], "jobs");
    }
    assert_eq!(explained["user"], "system:serviceaccount:gitlab:runner");
}

#[test]
fn without_a_profile_the_table_shows_why() {
    let none = |arguments: &[&str]| {
        let reviewed = json_of(arguments, &job());
        let profile = value(&reviewed["explain"], "profile").clone();
        assert_eq!(
            (&profile["value"], &profile["source"]),
            (&Value::Null, &json!("podseal"))
        );
        text(&explain(arguments, &job()).stdout)
    };
    let rules = ["--namespace-rules", "rules.yaml", "--profiles", "profiles"];
    let stdout = none(&[&rules[..], &["-n", "plain"]].concat());
    let why = "no label podseal.io/profile, and none of the 2 namespace rules";
    assert!(stdout.contains(why), "{stdout}");
    let stdout = none(&[&rules[..], &["-n", "kube-ci-job", "--label", "team=a"]].concat());
    let why = "namespace rules do not apply to the cluster's own namespaces";
    assert!(stdout.contains(why), "{stdout}");
    let stdout = none(&["--label", "team=a"]);
    assert!(stdout.contains("and no namespace rules"), "{stdout}");
    let by_label = json_of(&[&rules[..], &["--label", "team=a"]].concat(), &job());
    assert_eq!(value(&by_label["explain"], "profile")["rule"], "others");
}

#[test]
fn without_a_named_runner_the_row_shows_whose_pods_are_jobs() {
    let ours = ["--profiles", "profiles", "--profile", "ours"];
    let rootless = ["--profile", "rootless"];
    let anyone = "anyone who creates a pod with a job's labels\n";
    for (arguments, row) in [
        (&ours[..], "no one, so jobs are denied (--require-runner)\n"),
        (&[&ours[..], &["--require-runner=false"]].concat(), anyone),
        (&rootless, anyone),
    ] {
        let shown = text(&explain(arguments, &job()).stdout);
        let mut rows = shown.lines().filter(|line| line.starts_with("  runner "));
        let shown_row = format!("{}\n", rows.next().expect("a row"));
        assert!(shown_row.ends_with(row), "{shown}");
    }
}

#[test]
fn a_label_that_a_namespace_rule_requires_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        path
    };
    let rules = write(
        "rules.yaml",
        "rules:\n- name: paid\n  profile: rootless\n  \
        namespaces: {matchLabels: {podseal.io/team: payments}}\n",
    );
    let namespaces = write(
        "ns.yaml",
        "kind: Namespace\nmetadata:\n  name: ci\n  \
        labels: {podseal.io/team: payments, podseal.io/mode: audit}\n",
    );
    let pod = write(
        "pod.yaml",
        "kind: Pod\nmetadata:\n  name: job\n  namespace: ci\n  \
        labels: {job.runner.gitlab.com/pod: job}\nspec:\n  containers: [{name: build, image: x}]\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .args(["review", "--explain", "--namespace-rules"])
        .arg(rules);
    command.arg("--namespaces").arg(namespaces).arg(pod);
    let printed = text(&support::run(command, "").stdout);
    assert!(printed.contains("namespace rule paid"), "{printed}");
    assert!(
        !printed.contains("ignored: label podseal.io/team"),
        "{printed}"
    );
    assert!(
        !printed.contains("without podseal.io/mode"),
        "it has one, which the rule overrules: {printed}"
    );
}
