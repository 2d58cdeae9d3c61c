//! Reviews for which a record is expected, and the podseal that writes it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use admission::decision::record::TARGET;
use cases::fixture;
use cases::review::review_of;
use cases::view::container_mut;
use serde_json::{Value, json};
use support::block_on;
use support::podseal::Podseal;

const NAMESPACES: &str = "
{kind: Namespace, metadata: {name: plain}}
---
{kind: Namespace, metadata: {name: enforce, labels: {podseal.io/profile: rootless}}}
---
{kind: Namespace, metadata: {name: warn, labels: {podseal.io/profile: rootless, podseal.io/mode: warn}}}
---
{kind: Namespace, metadata: {name: audit, labels: {podseal.io/profile: rootless, podseal.io/mode: audit}}}
---
{kind: Namespace, metadata: {name: strict, labels: {podseal.io/profile: rootless, podseal.io/level: restricted}}}
---
{kind: Namespace, metadata: {name: strict-audit, labels: {podseal.io/profile: userns, podseal.io/level: restricted, podseal.io/mode: audit}}}
---
{kind: Namespace, metadata: {name: odd, labels: {podseal.io/profile: rootles, podseal.io/level: Strict, podseal.io/mode: on},
  annotations: {podseal.io/runner: ' , '}}}
---
{kind: Namespace, metadata: {name: unnamed, labels: {podseal.io/profile: privileged}}}
---
{kind: Namespace, metadata: {name: granting, labels: {podseal.io/profile: privileged},
  annotations: {podseal.io/runner: 'system:serviceaccount:gitlab:gitlab-runner'}}}
---
{kind: Namespace, metadata: {name: ci-job-17}}
---
{kind: Namespace, metadata: {name: ci-job-18, labels: {podseal.io/mode: audit},
  annotations: {podseal.io/home: \"/\\n\\e[31m{\\u202e\", podseal.io/run-as-user: '1234'}}}
";

/// The file of namespace rules, for those above without a label.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rules.yaml");

/// Breaks a line, forges a record, obeys a terminal, turns the text around.
pub(crate) const HOSTILE: &str = "x\n{\"schema\":\"podseal.io/decision/v1\"}\r\0\u{1b}[31m\u{7f}\u{85}\u{202e}\u{2066}\u{2028}\u{feff}\\\"'é語";

/// One podseal whose log has the records of all tests.
static PODSEAL: LazyLock<Podseal> =
    LazyLock::new(|| Podseal::with_namespaces(NAMESPACES, &["--namespace-rules", RULES]));

/// The record of what `webhook` decides on `review`, and its line.
pub(crate) fn record_of(webhook: &str, mut review: Value) -> (Value, String) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let uid = review["request"]["uid"].as_str().expect("a uid").to_owned();
    review["request"]["uid"] = format!("{number}:{uid}").into();
    let client = PODSEAL.client().build().expect("a client");
    let url = format!("{}/{webhook}", PODSEAL.url);
    let response = block_on(client.post(url).body(review.to_string()).send());
    assert_eq!(response.expect("an answer").status().as_u16(), 200);
    let begin = format!("{number}:");
    // A line before the record announces a large review, with its uid.
    let is_record = |event: &Value| {
        let uid = event["uid"].as_str();
        event["target"] == TARGET && uid.is_some_and(|uid| uid.starts_with(&begin))
    };
    PODSEAL.await_event(is_record);
    let mut lines = PODSEAL.lines().into_iter().rev();
    let record = lines.find_map(|line| {
        let event = serde_json::from_str(&line).ok()?;
        is_record(&event).then_some((event, line))
    });
    record.expect("the record is in the log")
}

/// What `webhook` answers on a job in `namespace`.
pub(crate) fn response_in(webhook: &str, namespace: &str) -> Value {
    let client = PODSEAL.client().build().expect("a client");
    let url = format!("{}/{webhook}", PODSEAL.url);
    let review = review_in(namespace, &job()).to_string();
    let answer = block_on(async {
        let response = client.post(url).body(review).send().await;
        response.expect("an answer").text().await.expect("a text")
    });
    serde_json::from_str::<Value>(&answer).expect("JSON")["response"].clone()
}

pub(crate) fn review_in(namespace: &str, pod: &Value) -> Value {
    let mut review = review_of(pod);
    review["request"]["namespace"] = namespace.into();
    review
}

/// Adding an ephemeral container to `old`.
pub(crate) fn update_in(namespace: &str, old: &Value, new: &Value) -> Value {
    let mut review = review_in(namespace, new);
    review["request"]["operation"] = "UPDATE".into();
    review["request"]["subResource"] = "ephemeralcontainers".into();
    review["request"]["oldObject"] = old.clone();
    review
}

pub(crate) fn job() -> Value {
    fixture("default-with-service")
}

/// A job pod with a service that shares the host's processes.
pub(crate) fn with_violations() -> Value {
    let mut pod = job();
    pod["spec"]["hostPID"] = true.into();
    let service = json!({"name": "svc-9", "securityContext": {"privileged": true}});
    let containers = pod["spec"]["containers"].as_array_mut();
    containers.expect("containers").push(service);
    pod
}

pub(crate) fn with_home(home: &str) -> Value {
    let mut pod = job();
    container_mut(&mut pod, "build")["env"] = json!([{"name": "HOME", "value": home}]);
    pod
}

/// A job pod with `text` in every place for text, `many` times in every list.
pub(crate) fn hostile(text: &str, many: usize) -> Value {
    let mut pod = job();
    let metadata = &mut pod["metadata"];
    metadata["name"] = text.into();
    metadata["generateName"] = text.into();
    metadata["ownerReferences"] = json!([{"kind": text, "name": text, "controller": true}]);
    for label in ["id", "name", "namespace"] {
        metadata["labels"][format!("project.runner.gitlab.com/{label}")] = text.into();
    }
    metadata["annotations"]["job.runner.gitlab.com/id"] = text.into();
    let apparmor = format!("container.apparmor.security.beta.kubernetes.io/{text}");
    metadata["annotations"][apparmor] = text.into();
    let spec = &mut pod["spec"];
    let volumes =
        (0..many).map(|n| json!({"name": format!("{text}{n}"), "hostPath": {"path": text}}));
    spec["volumes"]
        .as_array_mut()
        .expect("volumes")
        .extend(volumes);
    let names: Vec<_> = (0..many).map(|n| format!("{text}{n}")).collect();
    let context = json!({"capabilities": {"add": names}, "seccompProfile": {"type": text},
        "seLinuxOptions": {"type": text, "user": text, "role": text}});
    container_mut(&mut pod, "helper")["securityContext"] = context.clone();
    let spec = &mut pod["spec"];
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let named =
            |n| json!({"name": name_of(&format!("{n}{list}{text}")), "securityContext": context});
        let more = (0..3).map(named);
        let list = spec.as_object_mut().expect("a spec").entry(list);
        list.or_insert(json!([]))
            .as_array_mut()
            .expect("a list")
            .extend(more);
    }
    pod
}

/// As much of `text` as the name of a container may have.
fn name_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(63)]
}

pub(crate) fn by_stranger(mut review: Value, text: &str) -> Value {
    let groups = vec![text; 500];
    review["request"]["userInfo"] = json!({"username": text, "groups": groups});
    // What the API server would never send.
    review["request"]["uid"] = text.chars().take(40).collect::<String>().into();
    review
}
