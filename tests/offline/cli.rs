//! The command line as its users meet it.

use std::process::{Command, Output};

use serde_json::Value;
use support::text;

fn podseal(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(args).env_remove("KUBECONFIG");
    support::run(command, input)
}

fn fixture(name: &str) -> String {
    format!(
        "{}/tests/fixtures/pods/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn json_lines(output: &Output) -> Vec<Value> {
    let stdout = text(&output.stdout);
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

#[test]
fn review_prints_sentences_and_a_diff_without_colour_in_a_pipe() {
    let pod = fixture("default-with-service");
    let output = podseal(&["review", "--profile", "rootless", &pod], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert!(
        stdout.starts_with("corrected  gitlab-ci/runner-ab3defghi-project-"),
        "{stdout}"
    );
    assert!(stdout.contains("\n  container build: securityContext.runAsUser set to 1000\n"));
    assert!(stdout.contains("\n  +      runAsUser: 1000\n"), "{stdout}");
    assert!(
        stdout.ends_with("1 pod: 1 corrected, 0 unchanged, 0 denied\n"),
        "{stdout}"
    );
    assert!(!stdout.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn review_prints_patched_pods_as_yaml_that_needs_no_further_patch() {
    let pod = fixture("privileged-nonroot");
    let output = podseal(&["review", "--profile", "userns", "-o", "yaml", &pod], "");
    assert_eq!(output.status.code(), Some(0));
    let again = podseal(
        &["review", "--profile", "userns", "-o", "json", "-"],
        &text(&output.stdout),
    );
    let line = &json_lines(&again)[0];
    assert_eq!(
        (&line["allowed"], &line["patch"]),
        (&Value::Bool(true), &Value::Null),
        "{line:#}"
    );
}

#[test]
fn yaml_output_has_the_same_content_as_json_output() {
    for name in [
        "default-with-service",
        "privileged-nonroot",
        "legacy-exec",
        "native-steps",
    ] {
        let pod = fixture(name);
        let yaml = podseal(&["review", "--profile", "rootless", "-o", "yaml", &pod], "");
        let json = podseal(&["review", "--profile", "rootless", "-o", "json", &pod], "");
        let from_yaml: Value = serde_saphyr::from_str(&text(&yaml.stdout)).expect("YAML");
        assert_eq!(from_yaml, json_lines(&json)[0]["object"], "{name}");
    }
}

#[test]
fn review_json_has_the_documented_fields() {
    let page = include_str!("../../docs/review.md");
    let (page, _) = page.split_once("## `--explain`").expect("a section");
    let pod = fixture("default-with-service");
    let output = podseal(&["review", "--profile", "rootless", "-o", "json", &pod], "");
    let line = json_lines(&output).remove(0);
    let fields: Vec<_> = line
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    for field in &fields {
        assert!(
            page.contains(&format!("| `{field}` |")),
            "{field} is not in docs/review.md"
        );
    }
    let documented = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        documented,
        fields.len(),
        "docs/review.md tells of fields there are not"
    );
}

#[test]
fn review_reads_a_list_from_kubectl_on_standard_input_and_namespaces_from_a_file() {
    let pods = ["default-with-service", "pause-pod"].map(cases::fixture);
    let mut other = cases::fixture("root-fuse");
    other["metadata"]["namespace"] = "plain".into();
    let list =
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [pods[0], pods[1], other]});
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    let text_of = "apiVersion: v1\nkind: List\nitems:\n\
        - {kind: Namespace, metadata: {name: gitlab-ci, labels: {podseal.io/profile: rootless}}}\n\
        - {kind: Namespace, metadata: {name: plain}}\n";
    std::fs::write(namespaces.path(), text_of).expect("the namespaces");
    let path = namespaces.path().display().to_string();
    let args = ["review", "--namespaces", &path, "-o", "json", "-"];
    let output = podseal(&args, &list.to_string());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = json_lines(&output);
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str()).collect();
    assert_eq!(
        messages,
        [
            None,
            Some("the pod is not a GitLab Runner job pod, and the pod meets the namespace's level"),
            Some("the namespace has no label podseal.io/profile"),
        ]
    );
}

#[test]
fn review_warns_of_namespaces_that_the_webhooks_are_never_called_for() {
    let warning =
        "podseal's webhooks are never called for namespaces that begin with kube- or openshift-";
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    let labelled = ["kube-ci", "openshift-ci", "ci"].map(|name| {
        format!("---\n{{kind: Namespace, metadata: {{name: {name}, labels: {{podseal.io/profile: none}}}}}}\n")
    });
    let plain = "---\n{kind: Namespace, metadata: {name: kube-system}}\n";
    std::fs::write(namespaces.path(), labelled.concat() + plain).expect("the namespaces");
    let path = namespaces.path().display().to_string();
    for (namespace, code, warned) in [
        ("kube-ci", 0, true),
        ("openshift-ci", 0, true),
        ("ci", 1, false),
        ("kube-system", 0, false),
    ] {
        let mut pod = cases::fixture("pause-pod");
        pod["metadata"]["namespace"] = namespace.into();
        pod["spec"]["hostNetwork"] = true.into();
        let review = |format| {
            let args = ["review", "--namespaces", &path, "-o", format, "-"];
            let output = podseal(&args, &pod.to_string());
            assert_eq!(output.status.code(), Some(code), "{namespace}");
            output
        };
        let line = &json_lines(&review("json"))[0];
        let warnings = line["warnings"].as_array().expect("warnings");
        assert_eq!(warnings.contains(&warning.into()), warned, "{line:#}");
        let stdout = text(&review("text").stdout);
        let is_shown = stdout.contains(&format!("\n  warning: {warning}\n"));
        assert_eq!(is_shown, warned, "{stdout}");
    }
}

#[test]
fn review_exits_with_1_when_a_pod_is_denied_and_prints_why() {
    let mut pod = cases::fixture("default-with-service");
    let env = pod["spec"]["containers"][0]["env"]
        .as_array_mut()
        .expect("env");
    env.push(serde_json::json!({"name": "HOME", "value": "/proc/self"}));
    for format in ["text", "yaml", "json"] {
        let args = ["review", "--profile", "rootless", "-o", format, "-"];
        let output = podseal(&args, &pod.to_string());
        assert_eq!(output.status.code(), Some(1), "{format}");
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(
            all.contains("/proc/self") && all.contains("is /proc or in it"),
            "{format}: {all}"
        );
    }
}

#[test]
fn review_exits_with_2_when_an_input_cannot_be_used_and_reviews_the_others() {
    let good = fixture("default-with-service");
    let args = [
        "review",
        "--profile",
        "rootless",
        "-o",
        "json",
        "/nonexistent.yaml",
        &good,
    ];
    let output = podseal(&args, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("error: /nonexistent.yaml: cannot read the file"));
    assert_eq!(json_lines(&output).len(), 1);
    for (input, expected) in [
        ("kind: Deployment", "document 1 is a \"Deployment\""),
        ("", "the file contains no pod"),
        (
            "{\"kind\": \"Pod\", \"spec\": {\"containers\": 7}}",
            "not a valid pod: spec.containers: ",
        ),
        (
            "{\"kind\": \"AdmissionReview\"}",
            "podseal answers admission.k8s.io/v1",
        ),
    ] {
        let output = podseal(&["review", "--profile", "rootless", "-"], input);
        assert_eq!(output.status.code(), Some(2), "{input}");
        let stderr = text(&output.stderr);
        assert!(
            stderr.contains("standard input") && stderr.contains(expected),
            "{stderr}"
        );
    }
}

/// A YAML file becomes JSON of one line, so a position in that would mislead.
#[test]
fn review_names_the_field_of_the_wrong_type_and_no_position_in_converted_json() {
    let pod = |field: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec:\n  containers:\n  - name: \
             build\n    {field}\n"
        )
    };
    let listed = |field: &str| {
        let pod = pod(field).replace('\n', "\n  ");
        format!("kind: List\nitems:\n- {pod}")
    };
    let user = "securityContext: {runAsUser: \"abc\"}";
    let user_error = "not a valid pod: spec.containers[0].securityContext.runAsUser: invalid type: \
                      string \"abc\", expected ";
    for (input, expected) in [
        (pod(user), user_error),
        (listed(user), user_error),
        (
            pod("env: [{name: A}, {name: B, value: 8080}]"),
            "not a valid pod: spec.containers[0].env[1].value: invalid type: integer `8080`",
        ),
        (
            "kind: Pod\nmetadata: {namespace: 7}\n".to_owned(),
            "standard input: metadata.namespace: invalid type: ",
        ),
        (
            "kind: 7\n".to_owned(),
            "standard input: kind: invalid type: ",
        ),
    ] {
        let output = podseal(&["review", "--profile", "rootless", "-"], &input);
        assert_eq!(output.status.code(), Some(2), "{input}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(expected), "{input}: {stderr}");
        assert!(!stderr.contains(" column "), "{stderr}");
    }
}

#[test]
fn review_names_the_missing_namespace_and_the_known_profiles() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        namespaces.path(),
        "kind: Namespace\nmetadata: {name: other}\n",
    )
    .expect("file");
    let path = namespaces.path().display().to_string();
    let pod = fixture("default-with-service");
    let output = podseal(&["review", "--namespaces", &path, &pod], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("namespace gitlab-ci is not in the file"));
    let output = podseal(&["review", "--profile", "rootles", &pod], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there are userns, rootless,"));
}

#[test]
fn a_terminals_escape_codes_in_a_pod_do_not_reach_the_terminal() {
    let mut pod = cases::fixture("default-with-service");
    pod["metadata"]["name"] = "evil\u{1b}[2J\u{9b}2J\nname".into();
    let env = pod["spec"]["containers"][0]["env"]
        .as_array_mut()
        .expect("env");
    env.push(serde_json::json!({"name": "X", "value": "\u{1b}]0;title\u{7}\u{9b}31m\r\u{202e}"}));
    for format in ["text", "yaml", "json"] {
        let args = ["review", "--profile", "rootless", "-o", format, "-"];
        let output = podseal(&args, &pod.to_string());
        let stdout = text(&output.stdout);
        // JSON is for programs, and escapes what JSON has to.
        let obeyed = |c: char| c.is_ascii_control() || format != "json" && c.is_control();
        let turned = |c: char| c == '\u{202e}' && format == "text";
        let found: Vec<_> = stdout
            .chars()
            .filter(|&c| c != '\n' && obeyed(c) || turned(c))
            .collect();
        assert!(found.is_empty(), "{format}: {found:?}");
    }
}

#[test]
fn profiles_lists_them_and_prints_one_in_the_format_users_write() {
    let list = text(&podseal(&["profiles"], "").stdout);
    for name in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
        "none",
    ] {
        assert!(
            list.lines()
                .any(|line| line.starts_with(&format!("{name} "))),
            "{list}"
        );
        let one = podseal(&["profiles", name], "");
        let profile = admission::profile::Profile::from_yaml(&text(&one.stdout));
        assert_eq!(profile.expect("a profile").name, name);
    }
    let unknown = podseal(&["profiles", "rootles"], "");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no profile \"rootles\"; there are rootless,"));
}

#[test]
fn the_version_names_the_commit_and_every_shell_gets_completions() {
    let version = text(&podseal(&["--version"], "").stdout);
    let expected = format!("podseal {} (", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(&expected), "{version}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = podseal(&["completions", shell], "");
        assert!(
            output.status.success() && text(&output.stdout).contains("podseal"),
            "{shell}"
        );
    }
}

#[test]
fn help_shows_every_command_an_example() {
    for command in [
        "serve",
        "review",
        "audit",
        "probe",
        "profiles",
        "rules",
        "completions",
    ] {
        let help = text(&podseal(&[command, "--help"], "").stdout);
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command}: {help}"
        );
    }
}
