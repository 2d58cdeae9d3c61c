//! docs/cautions.md: what the author of a job reads of a caution, and that it came true.

use serde_json::{Value, json};

use crate::job::Job;
use crate::site::{Namespace, RUNNER, Site};

const SYMPTOM: &str = "cannot clone: Operation not permitted";

/// The events that GitLab Runner asks for with its own rights, as its client does.
fn events_as_runner(namespace: &Namespace<'_>, query: &str) -> String {
    let path = format!("/api/v1/namespaces/{}/events?{query}", namespace.name);
    namespace
        .site
        .node
        .kubectl(&["get", "--raw", &path, &format!("--as={RUNNER}")])
}

/// The runner lists the warnings when a job has failed (`print_pod_warning_events`, on by
/// default), and watches all events from the moment that it has created the pod where the
/// job sets `FF_PRINT_POD_EVENTS`. It prints the messages into the job log.
///
/// Source: GitLab Runner 19.4, `executors/kubernetes`, `logPodWarningEvents` and
/// `watchPodEvents`.
#[test]
fn the_author_of_a_job_that_fails_reads_the_caution_in_the_job_log() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let job = Job::new("podman-stable:trixie").edit(|pod| {
        pod["spec"]["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}})
    });
    let ended = job.run(&namespace);
    ended.fails_with(SYMPTOM);
    let expected = |event: &Value| {
        let message = event["message"].as_str().expect("a message");
        event["reason"] == "MayNotRun"
            && message.starts_with("podseal: ")
            && message.contains(SYMPTOM)
    };

    let fields = format!("involvedObject.name={}", ended.name);
    let list = events_as_runner(
        &namespace,
        &format!("fieldSelector={fields},type=Warning&limit=200"),
    );
    let list: Value = serde_json::from_str(&list).expect("a list");
    let warnings = list["items"].as_array().expect("items");
    assert!(warnings.iter().any(expected), "{list:#}");

    let watched = events_as_runner(
        &namespace,
        &format!("fieldSelector={fields}&watch=true&timeoutSeconds=2"),
    );
    let mut watched = watched.lines().map(|line| {
        let change: Value = serde_json::from_str(line).expect("a change");
        assert_eq!(change["type"], "ADDED");
        change["object"].clone()
    });
    assert!(watched.any(|event| expected(&event)), "no such event");
}
