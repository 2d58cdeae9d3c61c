//! `podseal review --explain`: where each value came from, and which rule asked
//! for each change, fit to be pasted where others read it.

use std::collections::BTreeSet;
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

/// Of a profile that gives nobody a HOME, and says no path for one.
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

const SECRET: &str = "glcbt-64_a-token-of-the-job";

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
    write("rules.yaml", RULES);
    write("ns.yaml", NAMESPACE);
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "--explain", "-"]).args(arguments);
    command.current_dir(folder.path() as &Path);
    command.envs(env.iter().copied());
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

#[test]
fn a_table_shows_the_source_of_each_value_and_the_rule_behind_each_change() {
    let output = explain(&IN_CI, &job());
    let expected = "\
corrected  ci/runner-x, by the profile more
  podseal  VERSION, CREATE by gitlab
  profile  more (profiles/more.yaml)
  extends  ours (profiles/ours.yaml)
  extends  rootless (built in)
  job      4711

value, and its source
  profile        more              label podseal.io/profile
  level          baseline          podseal's default, without podseal.io/level
  mode           enforce           podseal's default, without podseal.io/mode
  runner         gitlab            annotation podseal.io/runner
  run-as-user    3000              annotation podseal.io/run-as-user
                                   overrides 1000: containers.helper.ifUnset of
                                   rootless
                                   overrides 2000: containers.build.set of
                                   ours:9
  home           /my_custom_dir    podseal's default, without podseal.io/home
  fuse-resource  example.com/fuse  annotation podseal.io/fuse-resource
                                   overrides github.com/fuse:
                                   containers.build.set of more:7
  ignored: label podseal.io/runner
  ignored: annotation podseal.io/hoem

container build, by containers.build
  privileged                         false (was true)  set of rootless
  allowPrivilegeEscalation           true              set of rootless
  runAsUser                          3000              set of ours:9
                                                       changed by
                                                       podseal.io/run-as-user
  appArmorProfile                    Unconfined        set of ours:10
  capabilities.add                   + SETUID, SETGID  capabilities of rootless
  env BUILDAH_ISOLATION              chroot            set of ours:11
  resources.limits example.com/fuse  1                 set of more:7
                                                       changed by
                                                       podseal.io/fuse-resource
  env HOME                           /my_custom_dir    home of rootless
  volumeMounts podseal-home          + /my_custom_dir  home of rootless

container helper, by containers.helper
  privileged                 false             set of rootless
  runAsUser                  3000              ifUnset of rootless
                                               changed by podseal.io/run-as-user
  env HOME                   /my_custom_dir    home of rootless
  volumeMounts podseal-home  + /my_custom_dir  home of rootless

pod
  volumes podseal-home                + emptyDir of at most 10Gi  home of ours:4
  annotation podseal.io/corrected-as  more@MARK  podseal's mark

granted by the profile at baseline
  appArmorProfile to build

  warning: label podseal.io/runner has no effect, since it is an annotation
  warning: annotation podseal.io/hoem has no effect; did you mean podseal.io/home?
1 pod: 1 corrected, 0 unchanged, 0 denied
";
    let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let stdout = text(&output.stdout);
    // A number of the profile's text.
    let mark = stdout
        .split_once("more@")
        .map_or("", |(_, rest)| &rest[..8]);
    let expected = expected.replace("MARK", mark);
    assert_eq!(stdout, expected, "{stdout}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_value_is_a_labels_an_annotations_a_rules_an_arguments_a_profiles_or_podseals() {
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
    let said = |name: &str| {
        let said = value(explained, name);
        (
            said["value"].clone(),
            said["source"].clone(),
            said["argument"].clone(),
        )
    };
    assert_eq!(
        said("level"),
        (json!("restricted"), json!("argument"), json!("--level"))
    );
    assert_eq!(
        said("home"),
        (json!("/w"), json!("argument"), json!("--annotation"))
    );

    let explained = &json_of(&BY_RULE, &job())["explain"];
    for (name, said) in [
        ("profile", "ours"),
        ("mode", "audit"),
        ("runner", "system:serviceaccount:gitlab:runner"),
        ("home", "/work"),
    ] {
        let found = value(explained, name);
        assert_eq!(
            (&found["value"], &found["source"]),
            (&json!(said), &json!("rule")),
            "{name}"
        );
        assert_eq!(found["rule"], "jobs");
    }
    assert_eq!(explained["user"], "system:serviceaccount:gitlab:runner");
}

#[test]
fn a_change_names_profile_file_line_and_what_changed_its_value() {
    let explained = &json_of(&IN_CI, &job())["explain"];
    let user = json!({
        "place": "container", "container": "build", "field": "securityContext.runAsUser",
        "action": "set", "value": "3000", "was": null, "rule": "containers.build.set",
        "profile": {
            "profile": "ours", "field": "containers.build.set.securityContext.runAsUser",
            "file": "profiles/ours.yaml", "line": 9, "column": 9,
        },
        "setting": "podseal.io/run-as-user",
    });
    assert_eq!(
        change(explained, "build", "securityContext.runAsUser"),
        &user
    );
    let limit = change(explained, "build", "resources.limits example.com/fuse");
    assert_eq!(limit["setting"], "podseal.io/fuse-resource");
    let written = "containers.build.set.resources.limits.github.com/fuse";
    assert_eq!(
        limit["profile"]["field"], written,
        "as the profile calls it"
    );
    assert_eq!(
        change(explained, "build", "securityContext.privileged")["setting"],
        Value::Null
    );

    let explained = &json_of(&BY_RULE, &job())["explain"];
    let home = change(explained, "build", "env HOME");
    assert_eq!(
        (&home["value"], &home["setting"]),
        (&json!("/work"), &json!("podseal.io/home"))
    );
    let shown = text(&explain(&BY_RULE, &job()).stdout);
    assert!(
        shown.contains("changed by home of namespace rule jobs\n"),
        "{shown}"
    );
}

#[test]
fn the_jobs_own_home_the_level_and_the_collector_are_rules_of_no_profile() {
    let mut pod = cases::fixture("umask-collector");
    let build = pod["spec"]["containers"]
        .as_array_mut()
        .expect("containers")
        .iter_mut();
    let build = build
        .into_iter()
        .find(|container| container["name"] == "build")
        .expect("build");
    let env = build["env"].as_array_mut().expect("env");
    env.push(json!({"name": "HOME", "value": "/work/own"}));
    let arguments = [
        "--profile",
        "rootless",
        "--level",
        "restricted",
        "--annotation",
        "podseal.io/home=/unused",
    ];
    let explained = &json_of(&arguments, &pod)["explain"];
    let home = change(explained, "helper", "env HOME");
    let own = [
        json!("/work/own"),
        json!("the job's own HOME"),
        Value::Null,
        Value::Null,
    ];
    let of = ["value", "rule", "profile", "setting"].map(|key| home[key].clone());
    assert_eq!(of, own);
    let said = value(explained, "home");
    assert_eq!(
        (&said["value"], &said["unused"]),
        (
            &json!("/unused"),
            &json!("build sets its own HOME, /work/own")
        )
    );
    let shown = text(&explain(&arguments, &pod).stdout);
    let row = "/unused     argument --annotation\n                             \
               overrides /my_custom_dir: podseal's default\n                             not used: build sets its own HOME, /work/own\n";
    assert!(shown.contains(row), "{shown}");
    let drop = change(explained, "build", "securityContext.capabilities.drop");
    assert_eq!(drop["rule"], "the level restricted");
    let collector = change(
        explained,
        "init-build-uid-gid-collector",
        "securityContext.runAsGroup",
    );
    let removed = (json!("remove"), json!("the collector follows build"));
    assert_eq!(
        (collector["action"].clone(), collector["rule"].clone()),
        removed
    );
}

#[test]
fn a_home_is_whose_file_asks_for_it_and_its_path_is_podseals_where_no_file_says_one() {
    let arguments = |profile| ["--profiles", "profiles", "--profile", profile];
    let explained = &json_of(&arguments("homes"), &job())["explain"];
    let home = value(explained, "home");
    assert_eq!(
        (&home["value"], &home["source"], &home["unused"]),
        (&json!("/my_custom_dir"), &json!("podseal"), &Value::Null)
    );
    let asks = json!({"profile": "homes", "field": "containers.build.home",
        "file": "profiles/homes.yaml", "line": 6, "column": 5});
    let changes = explained["changes"].as_array().expect("changes");
    for field in [
        "env HOME",
        "volumeMounts podseal-home",
        "volumes podseal-home",
    ] {
        let change = changes.iter().find(|change| change["field"] == field);
        let change = change.unwrap_or_else(|| panic!("{field} in {changes:#?}"));
        assert_eq!(
            (&change["rule"], &change["profile"]),
            (&json!("containers.build.home"), &asks),
            "{field}"
        );
    }
    let shown = text(&explain(&arguments("homes"), &job()).stdout);
    for line in [
        "/my_custom_dir   podseal's default, without podseal.io/home\n",
        "home of homes:6\n",
        "+ emptyDir      containers.build.home of\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    assert!(!shown.contains("home of root-fuse"), "{shown}");

    let explained = &json_of(&arguments("placed"), &job())["explain"];
    let said = json!([{"value": "/my_custom_dir", "profile": "placed", "field": "home.path",
        "file": "profiles/placed.yaml", "line": 4, "column": 3}]);
    let home = value(explained, "home");
    assert_eq!(
        (&home["source"], &home["inProfile"]),
        (&json!("profile"), &said)
    );
}

#[test]
fn words_stay_whole_in_80_columns_however_long_names_and_values_are() {
    let mut pod = job();
    pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 70_000.into();
    let resource = format!("{}.example.com/fuse", "device-plugin".repeat(2));
    let home = format!("--annotation=podseal.io/home=/work/{}", "long/".repeat(6));
    let fuse = format!("--annotation=podseal.io/fuse-resource={resource}");
    let arguments = [&IN_CI[..], &[&home, &fuse]].concat();
    let shown = text(&explain(&arguments, &pod).stdout);
    let (_, table) = shown.split_once("\n  podseal  ").expect("a table");
    assert!(table.contains(&resource), "{shown}");
    for line in table.lines().filter(|line| !line.contains("warning:")) {
        assert!(line.chars().count() <= 80, "{line}\n{shown}");
    }
}

#[test]
fn no_variable_of_the_job_is_in_it_whatever_podseal_says_of_the_pod() {
    let mut pod = cases::fixture("default-with-service");
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let env = container["env"].as_array_mut();
            for var in env
                .into_iter()
                .flatten()
                .filter(|var| var["name"] != "HOME")
            {
                var["value"] = SECRET.into();
            }
            let env = container.as_object_mut().expect("a container").entry("env");
            let env = env.or_insert_with(|| json!([]));
            if env.is_null() {
                *env = json!([]);
            }
            let env = env.as_array_mut().expect("a list");
            for name in ["BUILDAH_ISOLATION", "CI_JOB_TOKEN"] {
                env.push(json!({"name": name, "value": SECRET}));
            }
        }
    }
    pod["spec"]["hostPID"] = true.into();
    let mut denied = false;
    for arguments in [
        &IN_CI[..],
        &BY_RULE,
        &["--profile", "root-fuse", "--mode", "warn"],
    ] {
        for format in ["text", "json"] {
            let output = explain(&[arguments, &["-o", format]].concat(), &pod);
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            assert!(
                !stdout.contains(SECRET) && !stderr.contains(SECRET),
                "{stdout}{stderr}"
            );
            assert!(stdout.contains("hostPID"), "{stdout}");
            denied |= output.status.code() == Some(1);
        }
    }
    assert!(denied);
    pod["spec"]["hostPID"] = false.into();
    let reviewed = json_of(&IN_CI, &pod);
    assert_eq!(reviewed.get("object"), None);
    let isolation = change(&reviewed["explain"], "build", "env BUILDAH_ISOLATION");
    assert_eq!(isolation["was"], "something else");
    let stdout = text(&explain(&IN_CI, &pod).stdout);
    assert!(
        stdout.contains("corrected") && !stdout.contains(SECRET),
        "{stdout}"
    );
}

#[test]
fn a_denial_has_its_controls_and_what_the_profile_grants_beside_them() {
    let pod = cases::fixture("privileged-with-service");
    let runner = "podseal.io/runner=system:serviceaccount:gitlab:gitlab-runner";
    let ours = ["--profiles", "profiles", "--profile", "ours"];
    let arguments = [&ours[..], &["--annotation", runner]].concat();
    let output = explain(&arguments, &pod);
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    for part in [
        "\nbeyond the level baseline\n  privileged          docker: securityContext.privileged: \
         true\n",
        "\ngranted by the profile at baseline\n  appArmorProfile to build\n",
    ] {
        assert!(stdout.contains(part), "{stdout}");
    }
    let reviewed = json_of(&arguments, &pod);
    assert_eq!(reviewed["violations"][0]["control"], "privileged");
    let grants = json!([{"role": "build", "control": "appArmorProfile"}]);
    assert_eq!(reviewed["explain"]["grants"], grants);

    let mut nobodys = pod;
    nobodys["metadata"]["labels"] = json!({});
    let output = explain(&arguments, &nobodys);
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("  nothing: the pod is no job's\n"),
        "{stdout}"
    );
    assert_eq!(
        json_of(&arguments, &nobodys)["explain"]["grants"],
        json!([])
    );
}

#[test]
fn a_setting_that_cannot_be_is_told_with_what_it_stands_in_place_of() {
    let arguments = [
        "--profile",
        "rootless",
        "--annotation",
        "podseal.io/run-as-user=0",
    ];
    let output = explain(&arguments, &job());
    assert_eq!(output.status.code(), Some(1));
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("\"0\" is not a user ID from 1 to 65535"),
        "{stdout}"
    );
    let row = "  run-as-user    0               argument --annotation\n                                 \
               overrides 1000: containers.build.set of\n                                 rootless\n";
    assert!(stdout.contains(row), "{stdout}");
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
fn where_no_runner_is_named_the_row_says_whose_pods_are_jobs() {
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
fn every_key_of_the_json_stands_in_the_page_and_every_key_of_the_page_in_the_json() {
    fn collect(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                into.insert(key.clone());
                collect(value, into);
            }),
            _ => {}
        }
    }
    let mut keys = BTreeSet::new();
    collect(&json_of(&IN_CI, &job())["explain"], &mut keys);
    let page = include_str!("../../docs/review.md");
    let (_, section) = page.split_once("## `--explain`").expect("a section");
    let (_, section) = section.split_once("a field `explain`").expect("its fields");
    let (section, _) = section.split_once("\n## ").expect("another one");
    let first = |row: &str| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let told: BTreeSet<_> = section.lines().filter_map(first).collect();
    assert_eq!(told, keys);
}

#[test]
fn it_is_plain_in_a_pipe_and_with_no_color_and_obeys_no_name() {
    let mut pod = job();
    pod["metadata"]["name"] = "x\u{1b}[31m\u{202e}y".into();
    pod["spec"]["containers"][1]["name"] = "he\u{1b}]0;x\u{7}lper\n".into();
    let arguments = [
        "--profile",
        "rootless",
        "--annotation",
        "podseal.io/\u{1b}[2J=x",
    ];
    let coloured = [("CLICOLOR_FORCE", "1")];
    let plain = [("NO_COLOR", "1"), ("TERM", "xterm")];
    let of = |env: &[(&str, &str)]| text(&explain_with(&arguments, &pod, env).stdout);
    for env in [&[][..], &plain] {
        let stdout = of(env);
        let strange = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
        assert_eq!(stdout.chars().find(strange), None, "{stdout}");
        assert!(stdout.contains("corrected"), "{stdout}");
    }
    let stdout = of(&coloured);
    assert!(stdout.contains("\u{1b}[1mcontainer build"), "{stdout}");
    let mut escapes = stdout.split("\u{1b}[").skip(1);
    let is_colour = |part: &str| {
        let end = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        end.starts_with('m')
    };
    assert!(escapes.all(is_colour), "{stdout:?}");
}

#[test]
fn a_runners_pod_fits_a_terminal_of_80_columns() {
    let pod = cases::fixture("default-with-service");
    for profile in ["userns", "rootless", "root-fuse", "privileged", "none"] {
        let stdout = text(&explain(&["--profile", profile], &pod).stdout);
        // A pod's name and a denial are as long as they are.
        let (_, table) = stdout.split_once("\n  podseal  ").expect("a table");
        let table = table.lines().filter(|line| !line.contains("warning:"));
        for line in table {
            assert!(line.chars().count() <= 80, "{profile}: {line}");
        }
    }
}

#[test]
fn the_pods_as_yaml_have_no_place_for_it() {
    let output = explain(&["--profile", "rootless", "-o", "yaml"], &job());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("--explain cannot be used with -o yaml"),
        "{}",
        text(&output.stderr)
    );
    let output = explain(&["--profile", "rootless", "--label", "x"], &job());
    assert!(
        text(&output.stderr).contains("must be KEY=VALUE"),
        "{}",
        text(&output.stderr)
    );
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
    let told = text(&support::run(command, "").stdout);
    assert!(told.contains("namespace rule paid"), "{told}");
    assert!(!told.contains("ignored: label podseal.io/team"), "{told}");
    assert!(
        !told.contains("without podseal.io/mode"),
        "it has one, which the rule overrules: {told}"
    );
}
