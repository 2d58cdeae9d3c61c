//! Every message of podseal's to the author of a pod: one line that GitLab Runner
//! can put into a job's log, and that never makes it try again.

use admission::decision::{Allowed, Answer, Decision, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::rules::NamespaceRules;
use admission::namespace::{LEVEL, MODE, Namespace, PROFILE};
use admission::request::Request;
use admission::standards::Family;
use admission::validate::validate;
use cases::answer::corrected;
use cases::fixture;
use cases::job_log::{LONGEST_WARNING, strange, unfit};
use cases::review::{UID, review_of};
use cases::security_pods;
use cases::untrusted::{hostile, with_text};
use cases::view::container_mut;
use serde_json::{Value, json};

fn namespace(profile: &str, level: &str, mode: &str) -> Namespace {
    let labels = [(PROFILE, profile), (LEVEL, level), (MODE, mode)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Namespace::new("gitlab-ci", labels, [])
}

/// The messages of both webhooks about `review`: the denials, and the warnings in
/// the mode that turns them into warnings.
fn messages(review: &Value, profile: &str, level: &str, require_runner: bool) -> Vec<String> {
    let settings = Settings {
        require_runner,
        ..Settings::built_in()
    };
    let body = review.to_string();
    let mut sentences = Vec::new();
    for mode in ["enforce", "warn", "audit"] {
        let namespace = namespace(profile, level, mode);
        for decide in [mutate, validate] {
            let request = Request::from_review(body.as_bytes()).expect("a review");
            let decision = decide(request, &namespace, &settings);
            check_warnings(&decision);
            let denied = matches!(decision.answer(), Answer::Deny(_));
            assert!(!denied || mode == "enforce", "{mode}: {decision:?}");
            if let Outcome::Deny(denial) = decision.outcome {
                check(&denial.message);
                sentences.push(denial.message);
            }
        }
    }
    sentences
}

const RULES: &str = "\
rules:
- {name: unknown, namespaces: {prefix: unknown-}, profile: gone}
- {name: unnamed, namespaces: {prefix: unnamed-}, profile: privileged}
- {name: wrong, namespaces: {prefix: wrong-}, profile: rootless, settings: {run-as-user: '0'}}
- {name: strict, namespaces: {prefix: strict-}, profile: rootless, level: restricted}
- {name: others, namespaces: {prefix: others-}, profile: rootless, runner: somebody}
";

/// The message about a job in a namespace of this name, which has no label.
fn message_by_rule(name: &str, annotations: &[(&str, &str)], pod: &Value) -> String {
    let namespace_rules = NamespaceRules::from_yaml(RULES, None).expect("rules");
    let settings = Settings {
        namespace_rules: &namespace_rules,
        require_runner: true,
        ..Settings::built_in()
    };
    let annotations = annotations.iter();
    let annotations = annotations.map(|(key, value)| (key.to_string(), value.to_string()));
    let namespace = Namespace::new(name, [], annotations);
    let body = review_of(pod).to_string();
    let request = || Request::from_review(body.as_bytes()).expect("a review");
    let corrected = mutate(request(), &namespace, &settings);
    let decision = match &corrected.outcome {
        Outcome::Deny(_) | Outcome::Allow(Allowed::NotTheRunner) => corrected,
        _ => validate(request(), &namespace, &settings),
    };
    check_warnings(&decision);
    match decision.outcome {
        Outcome::Deny(denial) => {
            check(&denial.message);
            denial.message
        }
        _ => decision.warnings_for_creator().join("\n"),
    }
}

#[test]
fn a_denial_by_a_namespace_rule_names_the_rule_and_no_label() {
    let job = fixture("default-with-service");
    let uid = format!(" (audit id \"{UID}\")");
    for (name, annotations, pod, expected) in [
        (
            "unknown-1",
            &[][..],
            &job,
            "namespace \"unknown-1\" has the profile \"gone\" from the namespace rule unknown, and \
             there is no profile with that name; to fix this, ask a cluster administrator to \
             correct that rule, or set the namespace's label podseal.io/profile, to one of none, \
             userns, rootless, root, root-fuse, openshift, privileged",
        ),
        (
            "unnamed-1",
            &[],
            &job,
            "namespace \"unnamed-1\" has the profile \"privileged\" from the namespace rule unnamed, \
             which grants more than the baseline, and does not name the user that creates its job \
             pods; to fix this, ask a cluster administrator to set runner in that rule, such as \
             system:serviceaccount:gitlab:gitlab-runner",
        ),
        (
            "wrong-1",
            &[],
            &job,
            "namespace \"wrong-1\" has the profile \"rootless\" from the namespace rule wrong, and \
             that rule's settings.run-as-user cannot be applied: \"0\" is not a user ID from 1 to \
             65535; to fix this, ask a cluster administrator to correct or remove that",
        ),
        (
            "wrong-1",
            &[("podseal.io/run-as-user", "x")],
            &job,
            "namespace \"wrong-1\" has the profile \"rootless\" from the namespace rule wrong, and the \
             annotation podseal.io/run-as-user cannot be applied: \"x\" is not a user ID from 1 to \
             65535; to fix this, ask a cluster administrator to correct or remove that",
        ),
    ] {
        assert_eq!(
            message_by_rule(name, annotations, pod),
            format!("{expected}{uid}")
        );
    }
    let undone = message_by_rule("strict-1", &[], &job);
    let by =
        "namespace \"strict-1\" has the profile \"rootless\" from the namespace rule strict, and";
    assert!(
        undone.starts_with("the pod lacks") && undone.contains(by),
        "{undone}"
    );
    let strict = message_by_rule(
        "strict-1",
        &[],
        &json!({"metadata": {"name": "x"},
        "spec": {"hostPID": true, "containers": [{"name": "app"}]}}),
    );
    let by = "requires every pod to meet restricted (namespace rule strict; profile \"rootless\" from \
              the namespace rule strict)";
    assert!(strict.contains(by), "{strict}");
    let not_the_runner = message_by_rule("others-1", &[], &job);
    let end = "is not among the users that the namespace rule others names as runner";
    assert!(not_the_runner.ends_with(end), "{not_the_runner}");
}

/// Checks what every message must be.
fn check(sentence: &str) {
    assert_eq!(unfit(sentence), None, "{sentence}");
    assert!(
        sentence.ends_with(&format!("(audit id \"{UID}\")")),
        "{sentence}"
    );
}

fn check_line(line: &str) {
    assert_eq!(strange(line), None, "{line}");
}

fn check_warnings(decision: &Decision<'_>) {
    let for_creator = decision.warnings_for_creator();
    for warning in for_creator
        .iter()
        .map(String::as_str)
        .chain(decision.warnings())
    {
        check_line(warning);
        let length = warning.chars().count();
        assert!(length <= LONGEST_WARNING, "{length}: {warning}");
    }
}

fn job() -> Value {
    fixture("default-with-service")
}

/// `pod` with `value` at the JSON Pointer `path` under `spec`.
fn with(mut pod: Value, path: &str, value: Value) -> Value {
    let path = format!("/spec/{path}");
    security_pods::set(&mut pod, &(path, value));
    pod
}

fn assert_message(sentences: &[String], part: &str) {
    let found = sentences.iter().any(|sentence| sentence.contains(part));
    assert!(found, "no message has {part:?}: {sentences:#?}");
}

/// A job pod, its profile and level, and a part of the message about it.
// One refusal a line, so that it reads as the table it is.
#[rustfmt::skip]
const REFUSED: [(&str, &str, &str, &str); 19] = [
    ("containers/0/env", r#"[{"name":"HOME","valueFrom":{}}]"#, "rootless", "valueFrom"),
    ("containers/0/env", r#"[{"name":"HOME","value":"/a/.."}]"#, "rootless", "segment"),
    ("containers/0/volumeMounts", r#"[{"name":"exit status","mountPropagation":"Bidirectional"}]"#, "rootless", "mount_propagation"),
    ("containers/0/securityContext", r#"{"allowPrivilegeEscalation":false,"capabilities":{"add":["CAP_SYS_ADMIN"]}}"#, "none", "remove CAP_SYS_ADMIN from cap_add"),
    ("containers/0/securityContext", r#"{"allowPrivilegeEscalation":false,"privileged":true}"#, "none", "remove privileged from"),
    ("containers/0/securityContext", r#"{"procMount":"Unmasked"}"#, "rootless", "unless hostUsers is false"),
    ("containers/0/securityContext", r#"{"runAsGroup":70000}"#, "userns", "70000 does not exist"),
    ("containers/0/volumeDevices", r#"[{"name":"x","devicePath":"/x"}]"#, "userns", "no raw block device"),
    ("containers/1/name", r#""build""#, "rootless", "another container has the same name"),
    ("securityContext/fsGroup", "70000", "userns", "fsGroup"),
    ("securityContext/supplementalGroups", "[70000]", "userns", "supplementalGroups"),
    ("hostNetwork", "true", "userns", "hostNetwork"),
    ("hostPID", "true", "userns", "hostPID"),
    ("hostIPC", "true", "userns", "hostIPC"),
    ("securityContext/seccompProfile", r#"{"type":"RuntimeDefault"}"#, "rootless at restricted", "cannot create a user namespace"),
    ("containers/0/env", r#"[{"name":"HOME","value":"a"}]"#, "openshift", "absolute"),
    ("containers/0/env", r#"[{"name":"HOME","value":"/a:b"}]"#, "userns", "mount options"),
    ("containers/0/env", r#"[{"name":"HOME","value":"/etc"}]"#, "privileged", "is /etc or in it"),
    ("containers/0/env", r#"[{"name":"HOME","value":"/home"}]"#, "userns", "would hide from the job"),
];

#[test]
fn a_profile_that_cannot_be_applied_is_denied_in_one_line_that_no_runner_retries_on() {
    let refused = |pod: &Value, profile: &str, part| {
        let (profile, level) = profile.split_once(" at ").unwrap_or((profile, "baseline"));
        let sentences = messages(&review_of(pod), profile, level, false);
        assert_message(&sentences, part);
        assert_message(&sentences, "which podseal cannot apply here");
    };
    for (path, value, profile, part) in REFUSED {
        let value = serde_json::from_str(value).expect("JSON");
        refused(&with(job(), path, value), profile, part);
    }
    let mut large = job();
    large["metadata"]["annotations"] = json!({"x": "y".repeat(256 * 1024 - 11)});
    refused(&large, "openshift", "metadata.annotations");
    let many = (0..300).map(|n| json!({"name": format!("c{n}")}));
    let many = with(job(), "initContainers", many.collect());
    refused(&many, "rootless", "use fewer services in the job");
    let home = |value: &str| {
        let env = json!([{"name": "HOME", "value": value}]);
        with(job(), "containers/0/env", env)
    };
    for text in hostile() {
        let path = format!("/{text}");
        let read_only = json!([{"name": "repo", "mountPath": path, "readOnly": true}]);
        let mut pod = home(&path);
        container_mut(&mut pod, "build")["volumeMounts"] = read_only;
        messages(&review_of(&pod), "rootless", "baseline", false);
        // A caution.
        let mounts = json!([{"name": "repo", "mountPath": format!("/root{path}")}]);
        container_mut(&mut pod, "build")["volumeMounts"] = mounts;
        messages(&review_of(&pod), "rootless", "baseline", false);
        for value in [text, path] {
            let pod = home(&value);
            messages(&review_of(&pod), "rootless", "baseline", false);
        }
    }
}

#[test]
fn a_pod_that_cannot_be_created_is_denied_in_one_line_that_no_runner_retries_on() {
    let refused = |pod: &Value, part: &str| {
        let mut update = review_of(pod);
        update["request"]["operation"] = "UPDATE".into();
        update["request"]["oldObject"] = job();
        assert_message(&messages(&update, "rootless", "baseline", false), part);
    };
    for text in hostile() {
        let long = format!("{text}{}", "x".repeat(64));
        refused(
            &with(job(), "containers/0/name", long.into()),
            ", and Kubernetes allows 63",
        );
    }
    let many = |count: usize, name: &str| -> Value {
        (0..count)
            .map(|n| json!({"name": format!("{name}{n}")}))
            .collect()
    };
    let containers = with(job(), "initContainers", many(1100, "c"));
    refused(&containers, "more than podseal's limit of 1024");
    let mut annotated = job();
    annotated["metadata"]["annotations"] = json!({"x": "y".repeat(256 * 1024)});
    refused(&annotated, "metadata.annotations: they have 262145 bytes");
}

#[test]
fn a_namespace_that_admits_no_job_denies_in_one_line_that_no_runner_retries_on() {
    let review = review_of(&job());
    for text in hostile() {
        assert_message(
            &messages(&review, &text, "baseline", false),
            "there is no profile with that name",
        );
        messages(&review, "rootless", &text, false);
    }
    let sentences = messages(&review, "privileged", "baseline", true);
    assert_message(
        &sentences,
        "does not name the user that creates its job pods",
    );
    let body = review.to_string();
    let request = Request::from_review(body.as_bytes()).expect("a review");
    for cause in [
        "it is not in the file given with --namespaces",
        "the API server has no such namespace",
        "the API server did not answer in time",
        "the API server could not be reached",
    ] {
        let decision = Decision::unavailable(&request, cause);
        check_warnings(&decision);
        let Outcome::Deny(denial) = decision.outcome else {
            panic!("a look-up that failed denies");
        };
        check(&denial.message);
    }
}

#[test]
fn a_violation_of_any_control_is_denied_in_one_line_that_no_runner_retries_on() {
    let mut sentences = Vec::new();
    for start in security_pods::starts().iter().take(3) {
        for edit in security_pods::field_values() {
            let mut pod = start.clone();
            security_pods::set(&mut pod, &edit);
            let body = review_of(&pod).to_string();
            for level in ["baseline", "restricted"] {
                let namespace = namespace("rootless", level, "warn");
                let request = Request::from_review(body.as_bytes()).expect("a review");
                let decision = validate(request, &namespace, &Settings::built_in());
                check_warnings(&decision);
                if let Outcome::Deny(denial) = decision.outcome {
                    check(&denial.message);
                    sentences.push(denial.message);
                }
            }
        }
    }
    for family in Family::ALL {
        assert_message(&sentences, &format!("by the control {}", family.name()));
    }
}

#[test]
fn untrusted_text_in_a_violation_is_no_phrase_to_retry_on() {
    for text in hostile() {
        // Right for the profile, so that only its violations are reported.
        let pod = corrected(&with_text(&text, 1), "rootless");
        let sentences = messages(&review_of(&pod), "rootless", "baseline", false);
        assert_message(&sentences, "requires every pod to meet baseline");
        let mut update = review_of(&with_text(&text, 1));
        update["request"]["operation"] = "UPDATE".into();
        update["request"]["oldObject"] = job();
        assert_message(
            &messages(&update, "rootless", "restricted", false),
            "requires every pod",
        );
    }
}

#[test]
fn untrusted_text_in_a_reverted_change_is_no_phrase_to_retry_on() {
    for text in hostile() {
        for many in [1, 40] {
            for level in ["baseline", "restricted"] {
                let mut pod = with_text(&text, many);
                container_mut(&mut pod, "helper")["env"] = json!([{"name": "HOME", "value": text}]);
                let sentences = messages(&review_of(&pod), "rootless", level, false);
                assert_message(&sentences, "the pod lacks what its profile sets");
            }
        }
    }
}

#[test]
fn a_denial_for_hundreds_of_violations_lists_the_first_and_counts_the_rest() {
    for text in ["a", "x y z"] {
        let pod = corrected(&with_text(text, 200), "rootless");
        let sentences = messages(&review_of(&pod), "rootless", "baseline", false);
        assert_message(&sentences, " more; namespace ");
    }
}
