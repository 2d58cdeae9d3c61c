//! What is printed: the table, the JSON, and what is never in either.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::text;

use super::{BY_RULE, IN_CI, change, explain, explain_with, job, json_of};

const SECRET: &str = "glcbt-64_a-token-of-the-job";

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
  strict         false             podseal's default, without podseal.io/strict
  runner         gitlab            annotation podseal.io/runner
  run-as-user    3000              annotation podseal.io/run-as-user
                                   overrides 1000: containers.helper.ifUnset of
                                   rootless
                                   overrides 2000: containers.build.set of
                                   ours:9
  home           /my_custom_dir    podseal's default, without podseal.io/home
  home-size      10Gi              home.sizeLimit of ours:4
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
  env CONTAINERS_STORAGE_CONF        /dev/null         ifUnset of rootless
  env STORAGE_DRIVER                 overlay           ifUnset of rootless
  env STORAGE_OPTS                                     ifUnset of rootless
  resources.limits example.com/fuse  1                 set of more:7
                                                       changed by
                                                       podseal.io/fuse-resource
  env HOME                           /my_custom_dir    home of rootless
  volumeMounts podseal-home          + /my_custom_dir  home of rootless
  volumeMounts podseal-tmp           + /var/tmp        emptyDirs of rootless

container helper, by containers.helper
  privileged                 false             set of rootless
  runAsUser                  3000              ifUnset of rootless
                                               changed by podseal.io/run-as-user
  env HOME                   /my_custom_dir    home of rootless
  volumeMounts podseal-home  + /my_custom_dir  home of rootless

pod
  volumes podseal-home                + emptyDir of at most 10Gi  home of ours:4
  volumes podseal-tmp                 + emptyDir of at most 10Gi
                                                     containers.build.emptyDirs
                                                     of rootless
  annotation podseal.io/corrected-as  more@MARK  podseal's mark

granted by the profile at baseline
  appArmorProfile to build

  cannot: podman run (mount proc to proc), since /proc is masked; userns can
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
fn words_are_not_broken_in_80_columns_however_long_names_and_values_are() {
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
fn no_variable_of_the_job_is_shown_whatever_the_decision() {
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
    assert_eq!(isolation["was"], "another value");
    let stdout = text(&explain(&IN_CI, &pod).stdout);
    assert!(
        stdout.contains("corrected") && !stdout.contains(SECRET),
        "{stdout}"
    );
}

#[test]
fn every_key_of_the_json_is_documented_and_every_documented_key_is_in_the_json() {
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
    let page = include_str!("../../../docs/review.md");
    let (_, section) = page.split_once("## `--explain`").expect("a section");
    let (_, section) = section.split_once("a field `explain`").expect("its fields");
    let (section, _) = section.split_once("\n## ").expect("another one");
    let first = |row: &str| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let documented: BTreeSet<_> = section.lines().filter_map(first).collect();
    assert_eq!(documented, keys);
}

#[test]
fn it_has_no_colour_in_a_pipe_or_with_no_color_and_escapes_names() {
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
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "privileged",
        "none",
    ] {
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
fn yaml_output_rejects_explain() {
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
