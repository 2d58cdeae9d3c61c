//! `podseal profiles --check`: what is wrong with a folder of profiles, where, and
//! what each of them costs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::text;

fn check(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .args(["profiles", "--check", "profiles"])
        .args(arguments);
    command.current_dir(folder);
    support::run(command, "")
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("profiles")).expect("a folder");
    for (name, text) in files {
        let path = folder.path().join("profiles").join(name);
        std::fs::write(path, text).expect("the file can be written");
    }
    folder
}

/// A profile that sets these fields of `build`'s securityContext, one a line.
fn build(head: &str, fields: &str) -> String {
    let begin = "name: x\nsummary: y\n";
    format!("{begin}{head}containers:\n  build:\n    set:\n      securityContext:\n{fields}")
}

fn remarks(files: &[(&str, &str)]) -> (Option<i32>, Value) {
    let output = check(folder(files).path(), &["-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], output.status.code() == Some(0), "{report:#}");
    (output.status.code(), report["remarks"].clone())
}

/// What is wrong with a field of the pod, a line each.
const OF_POD: [(&str, &str); 15] = [
    (
        "set: {securityContext: {fsGroup: -1}}",
        "pod.set.securityContext.fsGroup: an id is between 0 and 2147483647",
    ),
    (
        "set: {securityContext: {supplementalGroups: [2147483648]}}",
        "pod.set.securityContext.supplementalGroups: an id is between 0 and 2147483647",
    ),
    (
        "set: {securityContext: {fsGroupChangePolicy: Never}}",
        "pod.set.securityContext.fsGroupChangePolicy: is Always or OnRootMismatch",
    ),
    (
        "ifUnset: {securityContext: {supplementalGroups: [1]}}",
        "is added to what the pod has; write it under set",
    ),
    (
        "ifUnset: {tolerations: [{operator: Exists}]}",
        "pod.ifUnset.tolerations: is added to what the pod has; write it under set",
    ),
    (
        "set: {runtimeClassName: Kata}",
        "\"Kata\" is not the name of a RuntimeClass",
    ),
    (
        "set: {nodeSelector: {a b: c}}",
        r#""a\u{20}b": "c" is not a label"#,
    ),
    (
        "set: {nodeSelector: {a: b c}}",
        r#""a": "b\u{20}c" is not a label"#,
    ),
    (
        "set: {nodeSelector: {kubernetes.io/os: windows}}",
        "pod.set.nodeSelector: Podman's images run on Linux",
    ),
    (
        "set: {tolerations: [{key: a, operator: In}]}",
        "the operator is Equal or Exists",
    ),
    (
        "set: {tolerations: [{key: a, effect: Never}]}",
        "the effect is NoSchedule, PreferNoSchedule or NoExecute",
    ),
    (
        "set: {tolerations: [{value: a}]}",
        "without a key the operator is Exists",
    ),
    (
        "set: {tolerations: [{key: a, operator: Exists, value: b}]}",
        r#""a=b\u{20}op=Exists": with the operator Exists there is no value"#,
    ),
    (
        "set: {tolerations: [{key: a/b/c}]}",
        "the key is not the key of a taint",
    ),
    (
        "set: {tolerations: [{key: a, tolerationSeconds: 1}]}",
        "tolerationSeconds is for the effect NoExecute",
    ),
];

#[test]
fn a_field_of_the_pod_that_the_api_server_would_reject_is_an_error() {
    for (rules, problem) in OF_POD {
        let text = format!("name: x\nsummary: y\nextends: rootless\npod:\n  {rules}\n");
        let (code, report) = remarks(&[("x.yaml", &text)]);
        assert_eq!(code, Some(1), "{rules}: {report:#}");
        let report = report.as_array().expect("remarks");
        let mut messages = report
            .iter()
            .filter_map(|remark| remark["message"].as_str());
        assert!(
            messages.any(|message| message.contains(problem)),
            "{rules}: {report:#?}"
        );
    }
    let of_build = build("extends: none\n", "        fsGroup: 1\n");
    let (code, report) = remarks(&[("x.yaml", &of_build)]);
    assert_eq!(code, Some(1));
    let problem = "fsGroup: is a field of the pod only; set it under pod";
    assert!(report.to_string().contains(problem), "{report:#}");
}

#[test]
fn what_rules_for_images_and_init_containers_set_is_shown() {
    let rules = "containers:
  images:
    \"docker:*dind*\": {set: {securityContext: {privileged: true}}, grants: {baseline: [privileged]}}
  initContainers:
    istio-init: {capabilities: {allow: [NET_ADMIN]}, grants: {baseline: [capabilities]}}
";
    let text = format!("name: x\nsummary: y\nextends: rootless\n{rules}");
    let output = check(folder(&[("x.yaml", &text)]).path(), &["-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["remarks"], json!([]), "{report:#}");
    let profile = &report["profiles"][0];
    let services = json!({"name": "services of \"docker:*dind*\"", "beyondRestricted": [],
        "beyondBaseline": ["securityContext.privileged: true"]});
    assert_eq!(profile["containers"][1], services, "{profile:#}");
    let gives = profile["gives"].to_string();
    let allowed = r#"allowed capability NET_ADMIN to the init container \"istio-init\""#;
    assert!(gives.contains(allowed), "{gives}");
    // A contradiction is no job's fault.
    let rules = "containers:
  images: {\"docker:*dind*\": {set: {securityContext: {privileged: true, allowPrivilegeEscalation: false}}}}
";
    let text = format!("name: x\nsummary: y\nextends: rootless\n{rules}");
    let (code, report) = remarks(&[("x.yaml", &text)]);
    assert_eq!(code, Some(1), "{report:#}");
}

#[test]
fn what_has_no_effect_in_a_profile_is_warned_of() {
    for (rules, problem) in [
        (
            "extends: root\nkeepUser: true\n",
            "keepUser: has no effect, since the profile makes build root",
        ),
        (
            "extends: rootless\ncontainers: {initContainers: {istio-init: {capabilities: {allow: \
             [NET_ADMIN]}}}}\n",
            "containers.initContainers: capabilities.allow of the init container \"istio-init\" has \
             no effect at the level baseline without grants: {baseline: [capabilities]}",
        ),
    ] {
        let text = format!("name: x\nsummary: y\n{rules}");
        let (code, report) = remarks(&[("x.yaml", &text)]);
        assert_eq!(code, Some(0), "{report:#}");
        let message = report[0]["message"].as_str().expect("a message");
        assert!(message.starts_with(problem), "{message}");
    }
}

/// Another pattern that matches a sample of the first must not hide what the first does.
#[test]
fn each_rule_for_an_image_is_checked_by_itself() {
    let rules = "containers:
  images:
    \"docker:*dind*\": {set: {securityContext: {privileged: true}}}
    \"docker:dind*\": {set: {securityContext: {seccompProfile: {type: RuntimeDefault}}}}
";
    let text = format!("name: x\nsummary: y\nextends: rootless\n{rules}");
    let output = check(folder(&[("x.yaml", &text)]).path(), &["-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let remark = report["remarks"][0]["message"].as_str().expect("a remark");
    let expected = "containers.images: securityContext.privileged: true exceeds the level baseline, \
                    the default of a namespace, so every job with services of \"docker:*dind*\" is \
                    denied there";
    assert!(remark.starts_with(expected), "{remark}");
    let denied = &report["profiles"][0]["denied"]["baseline"];
    let line = r#"services of "docker:*dind*" securityContext.privileged: true"#;
    assert_eq!(*denied, json!([line]), "{report:#}");
}

#[test]
fn what_denies_jobs_is_shown_however_many_rules_a_profile_has() {
    let images: Vec<_> = (0..300).map(|n| format!("\"image-{n}:*\": {{}}")).collect();
    let text = format!(
        "name: x\nsummary: y\nextends: none\ncontainers:\n  build: {{capabilities: {{add: \
         [CHOWN]}}}}\n  images: {{{}}}\n  initContainers: {{helper: {{}}, svc-0: {{}}}}\n",
        images.join(", ")
    );
    let output = check(folder(&[("x.yaml", &text)]).path(), &["-o", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["remarks"], json!([]), "{report:#}");
    let denied = report["profiles"][0]["denied"]["restricted"].to_string();
    assert!(denied.contains("capabilities.add: CHOWN"), "{denied}");
}

/// The runner's `privileged` and such apply to services as to `build`.
#[test]
fn a_grant_to_services_of_what_the_profile_sets_for_build_has_an_effect() {
    let text = "name: x
summary: y
extends: rootless
containers:
  build:
    set: {securityContext: {appArmorProfile: {type: Unconfined}}}
    grants: {baseline: [appArmorProfile]}
  services: {grants: {baseline: [appArmorProfile]}}
";
    let (code, report) = remarks(&[("x.yaml", text)]);
    assert_eq!((code, report), (Some(0), json!([])));
}

#[test]
fn the_old_name_of_if_unset_is_a_warning_and_both_names_are_an_error() {
    let of = |keys: &str| format!("name: x\nsummary: y\nextends: none\npod:\n{keys}");
    let (code, report) = remarks(&[("x.yaml", &of("  default: {hostUsers: false}\n"))]);
    assert_eq!(code, Some(0));
    let deprecated = json!({
        "file": "profiles/x.yaml", "line": 5, "column": 3, "severity": "warning",
        "message": "pod.default: is deprecated; its name is ifUnset now",
    });
    let report = report.as_array().expect("remarks");
    assert!(report.contains(&deprecated), "{report:#?}");
    let (code, report) = remarks(&[("x.yaml", &of("  ifUnset: {hostUsers: false}\n"))]);
    assert_eq!(code, Some(0));
    assert!(!report.to_string().contains("deprecated"), "{report:#}");
    let (code, report) = remarks(&[("x.yaml", &of("  default: {}\n  ifUnset: {}\n"))]);
    assert_eq!(code, Some(1));
    let message = "pod: both ifUnset and default, its old name, are set; use only ifUnset";
    assert_eq!(report[0]["message"], message);
    assert_eq!(
        (&report[0]["line"], &report[0]["column"]),
        (&json!(5), &json!(3))
    );
}

#[test]
fn a_list_in_the_place_of_an_object_is_an_error() {
    for (text, line, message) in [
        (
            "- x\n",
            Value::Null,
            "invalid type: a list, expected fields",
        ),
        (
            "name: x\nhome: [/a, 1Gi]\n",
            json!(2),
            "home: invalid type: a list",
        ),
        (
            "name: x\ncontainers:\n  build: [{}, {}]\n",
            json!(3),
            "containers.build: invalid type: a list",
        ),
    ] {
        let (code, report) = remarks(&[("x.yaml", text)]);
        assert_eq!(code, Some(1), "{text}");
        let remark = &report[0];
        assert_eq!(remark["line"], line, "{remark}");
        let text = remark["message"].as_str().expect("a message");
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn an_error_about_a_key_is_one_line_whatever_the_key_is() {
    let key = r#""\e[2J\nerror: fake""#;
    for text in [
        format!("name: x\n{key}: 1\n"),
        format!("name: x\ncontainers: {{build: {{set: {{env: {{{key}: 1}}}}}}}}\n"),
    ] {
        let output = check(folder(&[("x.yaml", &text)]).path(), &[]);
        let stdout = support::text(&output.stdout);
        assert_eq!(stdout.lines().count(), 2, "{stdout}");
        assert!(stdout.contains(r"\u{1b}[2J\u{a}error: fake"), "{stdout}");
    }
}

#[test]
fn an_error_is_what_the_api_server_rejects_or_the_kubelet_never_starts() {
    let own_ids = "pod: {set: {hostUsers: false}}\n";
    let both = |a: &str, b: &str| format!("        {a}\n        {b}\n");
    let cases = [
        (build("", &both("privileged: true", "allowPrivilegeEscalation: false")), 8, 9,
            "false together with privileged: true, which the API server rejects"),
        (build("", &both("runAsUser: 0", "runAsNonRoot: true")), 8, 9,
            "true together with runAsUser: 0: the kubelet never starts such a container"),
        (build("", "        procMount: Unmasked\n"), 7, 9,
            "Unmasked without pod.set.hostUsers: false, which the API server rejects"),
        (build(own_ids, "        runAsUser: 65536\n"), 8, 9,
            "a pod with hostUsers: false has ids up to 65535"),
        (build("", "        seccompProfile: {type: RuntimeDefalt}\n"), 7, 26,
            "\"RuntimeDefalt\" is not one of RuntimeDefault, Unconfined, Localhost; did you mean \
             RuntimeDefault?"),
        (build("", "        appArmorProfile: {type: Localhost}\n"), 7, 9,
            "Localhost needs localhostProfile, the profile's name on the node"),
        ("name: x\nsummary: y\nextends: rootles\n".to_owned(), 3, 1,
            "there is no profile \"rootles\"; did you mean rootless?"),
        ("name: x\nsummary: y\ncontainers:\n  biuld: {}\n".to_owned(), 4, 3, "did you mean `build`?"),
        ("name: x\nsummary: y\ncontainers: {build: {capabilities: {add: [SYS_ADMN]}}}\n".to_owned(),
            3, 37, "\"SYS_ADMN\" is not a capability; did you mean SYS_ADMIN?"),
        ("name: x\nsummary: y\ncontainers: {build: {set: {resources: {limits: {memory: 1Gi}}}}}\n"
            .to_owned(), 3, 40, "leave cpu and memory to the runner's config.toml"),
        ("name: x\nsummary: y\npod: {set: {securityContext: {privileged: true}}}\n".to_owned(),
            3, 31, "is a field of containers only"),
        ("name: x\nsummary: y\nhome: {path: /etc}\n".to_owned(), 3, 8, "home.path"),
        ("name: rootless\nsummary: y\n".to_owned(), 1, 1, "is already used by podseal itself"),
        ("name: x\nextends: x\n".to_owned(), 2, 1, "extends this profile in turn"),
    ];
    for (text, line, column, why) in cases {
        let (code, remarks) = remarks(&[("a.yaml", &text)]);
        assert_eq!(code, Some(1), "{text}");
        let remark = &remarks[0];
        let message = remark["message"].as_str().expect("a message");
        assert!(message.contains(why), "{message}\n{text}");
        let at = json!(["profiles/a.yaml", line, column, "error"]);
        let report = ["file", "line", "column", "severity"].map(|key| remark[key].clone());
        assert_eq!(json!(report), at, "{message}\n{text}");
    }
}

#[test]
fn a_warning_has_the_symptom_and_leaves_the_profile_in_use() {
    let cases = [
        (
            "        runAsUser: 1000\n        allowPrivilegeEscalation: false\n",
            8,
            "newuidmap: write to uid_map failed: Operation not permitted",
        ),
        (
            "        seccompProfile: {type: RuntimeDefault}\n",
            7,
            "cannot clone: Operation not permitted",
        ),
        (
            "        runAsUser: 1000\n",
            4,
            "//.gitconfig: Permission denied",
        ),
        ("        runAsUser: 0\n", 5, "fuse: device not found"),
    ];
    for (fields, line, symptom) in cases {
        let (code, remarks) = remarks(&[("a.yaml", &build("", fields))]);
        assert_eq!(code, Some(0), "{fields}");
        let of_symptom = remarks.as_array().expect("a list").iter();
        let report = |remark: &&Value| {
            remark["message"]
                .as_str()
                .is_some_and(|m| m.contains(symptom))
        };
        let remark = of_symptom
            .clone()
            .find(report)
            .unwrap_or_else(|| panic!("{remarks:#}"));
        assert_eq!(
            (&remark["severity"], &remark["line"]),
            (&json!("warning"), &json!(line))
        );
    }
}

#[test]
fn all_invalid_files_are_reported_together_and_then_no_exposure() {
    let files = [
        ("a.yaml", "name: a\nsummary: x\n"),
        ("b.yaml", "name: ["),
        ("c.yaml", "nam: c\n"),
    ];
    let output = check(folder(&files).path(), &[]);
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("error profiles/b.yaml:") && stdout.contains("error profiles/c.yaml:1:1: ")
    );
    assert!(stdout.ends_with("podseal uses no profile of this folder until you fix the errors.\n"));
    assert!(
        !stdout.contains("a, extends") && output.status.code() == Some(1),
        "{stdout}"
    );
}

#[test]
fn the_exposure_is_shown_per_container_for_both_levels() {
    let mine = "name: mine\nsummary: x\nextends: rootless\ncontainers:\n  build:\n    set:\n      \
                securityContext: {appArmorProfile: {type: Unconfined}}\n    grants:\n      \
                baseline: [appArmorProfile]\n";
    let folder = folder(&[("mine.yaml", mine)]);
    let stdout = text(&check(folder.path(), &[]).stdout);
    let expected = "\
mine, extends rootless
  build    beyond baseline   appArmorProfile.type: Unconfined
  build    beyond restricted allowPrivilegeEscalation: true; capabilities.add: SETUID, SETGID
  granted at baseline: appArmorProfile to build
  granted at restricted: allowPrivilegeEscalation, capabilities, seccompProfile to build
  jobs denied at restricted: build securityContext.appArmorProfile.type: Unconfined
  sets variable BUILDAH_ISOLATION to build; variable CONTAINERS_STORAGE_CONF to build; \
variable STORAGE_DRIVER to build; variable STORAGE_OPTS to build
";
    assert_eq!(stdout, expected);
    let report = text(&check(folder.path(), &["-o", "json"]).stdout);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let cost = &report["profiles"][0];
    assert_eq!(
        (&cost["name"], &cost["extends"]),
        (&json!("mine"), &json!("rootless"))
    );
    let unconfined = json!(["securityContext.appArmorProfile.type: Unconfined"]);
    assert_eq!(cost["containers"][0]["beyondBaseline"], unconfined);
    let grant = json!({"level": "baseline", "container": "build", "control": "appArmorProfile"});
    assert_eq!(cost["grants"][0], grant);
}

#[test]
fn a_folder_that_cannot_be_used_is_reported_with_its_path() {
    for (make, why) in [
        ((|_| {}) as fn(&Path), "cannot read profiles: No such file"),
        (
            |path| std::fs::create_dir(path).expect("a folder"),
            "no *.yaml in profiles",
        ),
        (
            |path| std::fs::write(path, "name: x").expect("a file"),
            "Not a directory",
        ),
        (
            |path| {
                std::fs::create_dir_all(path.join("a.yaml")).expect("a folder");
            },
            "cannot read profiles/a.yaml: not a regular file",
        ),
        (
            |path| {
                std::fs::create_dir(path).expect("a folder");
                symlink("nowhere", path.join("a.yaml")).expect("a link");
            },
            "cannot read profiles/a.yaml: No such file",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        make(&folder.path().join("profiles"));
        let output = check(folder.path(), &[]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}

#[test]
fn a_configmaps_volume_is_read_once_and_a_file_that_is_too_large_is_rejected() {
    let folder = folder(&[]);
    let profiles = folder.path().join("profiles");
    std::fs::create_dir(profiles.join("..2026")).expect("a folder");
    std::fs::write(
        profiles.join("..2026/mine.yaml"),
        "name: mine\nsummary: x\n",
    )
    .expect("a file");
    symlink("..2026", profiles.join("..data")).expect("a link");
    symlink("..data/mine.yaml", profiles.join("mine.yaml")).expect("a link");
    std::fs::write(profiles.join("notes.txt"), "no profile").expect("a file");
    let output = check(folder.path(), &[]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert_eq!(stdout.matches("mine").count(), 1, "{stdout}");
    let long = format!("name: long\nsummary: {}\n", "x".repeat(200_000));
    // Beside the link it is none of the volume's.
    std::fs::write(profiles.join("long.yaml"), &long).expect("a file");
    assert_eq!(check(folder.path(), &[]).status.code(), Some(0));
    std::fs::write(profiles.join("..2026/long.yaml"), long).expect("a file");
    let output = check(folder.path(), &[]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.contains("the maximum is 65536"), "{stdout}");
}

#[test]
fn no_file_name_and_no_content_reaches_the_terminal_unescaped() {
    let folder = folder(&[]);
    let profiles = folder.path().join("profiles");
    let hostile = OsStr::from_bytes(b"x\x1b[31m\n\xe2\x80\xae\xff.yaml");
    let texts = [
        "name: \"a\\e[31m\\n\"\nsummary: x\n\"\\e[2J\": 1\n",
        "name: \"a\\e[31m\"\nsummary: x\n",
        "name: a\nsummary: x\nextends: \"b\\e[31m\"\n",
        "name: a\nsummary: x\ncontainers: {build: {set: {env: {\"x\\e[31m\": y}}}}\n",
        "name: a\u{7f}\nsummary: \u{1b}\n",
    ];
    for text_of in texts {
        std::fs::write(profiles.join(hostile), text_of).expect("a file");
        for arguments in [&[][..], &["-o", "json"]] {
            let output = check(folder.path(), arguments);
            assert_eq!(output.status.code(), Some(1), "{text_of:?}");
            let strange = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
            let stdout = text(&output.stdout);
            let is_json = !arguments.is_empty();
            let strange = stdout
                .chars()
                .find(|c| strange(c) && !(is_json && *c == '\u{202e}'));
            assert_eq!(strange, None, "{stdout:?}");
            assert_eq!(text(&output.stderr), "");
        }
    }
}
