//! `podseal review --explain`: the source of each value and the rule behind each
//! change, safe to share.

mod changes;
mod denials;
mod output;
mod values;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::text;

const OURS: &str = "\
name: ours
extends: rootless
summary: rootless as another user
home: {sizeLimit: 10Gi}
containers:
  build:
    set:
      securityContext:
        runAsUser: 2000
        appArmorProfile: {type: Unconfined}
      env: {BUILDAH_ISOLATION: chroot}
    grants: {baseline: [appArmorProfile]}
";

const MORE: &str = "\
name: more
extends: ours
containers:
  build:
    set:
      resources:
        limits: {github.com/fuse: 1}
";

/// A profile that extends one without HOME, and sets no path for it.
const HOMES: &str = "\
name: homes
extends: root-fuse
summary: root-fuse with a HOME
containers:
  build:
    home: true
";

/// The same with a path.
const PLACED: &str = "\
name: placed
extends: homes
home:
  path: /my_custom_dir
";

/// One that leaves the job's user.
const KEEPS: &str = "\
name: keeps
extends: rootless
keepUser: true
";

const RULES: &str = "\
rules:
- name: jobs
  namespaces: {prefix: ci-job-}
  profile: ours
  mode: audit
  runner: system:serviceaccount:gitlab:runner
  settings: {home: /work}
- name: others
  namespaces: {matchLabels: {team: a}}
  profile: none
";

const NAMESPACE: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: ci
  labels:
    kubernetes.io/metadata.name: ci
    podseal.io/profile: more
    podseal.io/runner: a-label
  annotations:
    podseal.io/runner: gitlab
    podseal.io/run-as-user: \"3000\"
    podseal.io/fuse-resource: example.com/fuse
    podseal.io/hoem: /misspelt
";

/// Runs `podseal review --explain` on `pod` in a folder with the files above.
fn explain(arguments: &[&str], pod: &Value) -> Output {
    explain_with(arguments, pod, &[])
}

fn explain_with(arguments: &[&str], pod: &Value, env: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(path, text).expect("the file can be written");
    };
    write("profiles/ours.yaml", OURS);
    write("profiles/more.yaml", MORE);
    write("profiles/homes.yaml", HOMES);
    write("profiles/placed.yaml", PLACED);
    write("profiles/keeps.yaml", KEEPS);
    write("rules.yaml", RULES);
    write("ns.yaml", NAMESPACE);
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "--explain", "-"]).args(arguments);
    command.current_dir(folder.path() as &Path);
    // The environment of the tests may have NO_COLOR.
    command.env_remove("NO_COLOR").envs(env.iter().copied());
    support::run(command, &pod.to_string())
}

fn json_of(arguments: &[&str], pod: &Value) -> Value {
    let arguments = [arguments, &["-o", "json"]].concat();
    let output = explain(&arguments, pod);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

fn job() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "runner-x",
            "labels": {"job.runner.gitlab.com/pod": "runner-x"},
            "annotations": {"job.runner.gitlab.com/id": "4711"},
        },
        "spec": {
            "containers": [
                {"name": "build", "image": "podman", "securityContext": {"privileged": true}},
                {"name": "helper", "image": "helper"},
            ],
        },
    })
}

const IN_CI: [&str; 6] = [
    "--profiles",
    "profiles",
    "--namespaces",
    "ns.yaml",
    "-n",
    "ci",
];

const BY_RULE: [&str; 6] = [
    "--profiles",
    "profiles",
    "--namespace-rules",
    "rules.yaml",
    "-n",
    "ci-job-17",
];

fn value<'e>(explained: &'e Value, name: &str) -> &'e Value {
    let values = explained["values"].as_array().expect("values");
    let found = values.iter().find(|value| value["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {values:?}"))
}

fn change<'e>(explained: &'e Value, container: &str, field: &str) -> &'e Value {
    let changes = explained["changes"].as_array().expect("changes");
    let is_it = |change: &&Value| change["container"] == container && change["field"] == field;
    let found = changes.iter().find(is_it);
    found.unwrap_or_else(|| panic!("{container} {field} in {changes:#?}"))
}
