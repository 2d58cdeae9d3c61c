//! Pods made to cost more than they should: podseal's answer stays small.

use cases::answer::{Answer, answer_for};
use cases::fixture;
use cases::review::review_of;
use cases::view::container_mut;
use serde_json::{Value, json};

fn denial(pod: &Value, profile: &str) -> String {
    match answer_for(pod, profile) {
        Answer::Denial(message) => message,
        other => panic!("not denied: {other:?}"),
    }
}

#[test]
fn a_pod_with_more_containers_than_any_job_is_denied_before_it_is_patched() {
    let mut pod = fixture("default-with-service");
    let containers = pod["spec"]["containers"]
        .as_array_mut()
        .expect("containers");
    containers.extend((0..300).map(|n| json!({"name": format!("svc-{n}-x")})));
    let message = denial(&pod, "rootless");
    assert!(
        message.contains("304 are more than podseal's limit of 256"),
        "{message}"
    );
}

#[test]
fn containers_of_one_name_are_denied_before_they_are_patched() {
    let mut pod = fixture("default-with-service");
    let containers = pod["spec"]["containers"]
        .as_array_mut()
        .expect("containers");
    containers.extend((0..100).map(|_| json!({"name": "build"})));
    let message = denial(&pod, "rootless");
    assert!(
        message.contains("container \"build\", name: another container has the same name"),
        "{message}"
    );
}

#[test]
fn a_change_of_very_many_capabilities_is_a_short_sentence() {
    let mut pod = fixture("default-with-service");
    container_mut(&mut pod, "build")["securityContext"]["capabilities"] =
        json!({"drop": vec!["SETUID"; 3_000]});
    let Answer::Patch(_) = answer_for(&pod, "rootless") else {
        panic!("corrected")
    };
    let review = review_of(&pod).to_string();
    let request = admission::request::Request::from_review(review.as_bytes());
    let label = ("podseal.io/profile".to_owned(), "rootless".to_owned());
    let namespace = admission::namespace::Namespace::new("gitlab-ci", [label], []);
    let settings = admission::namespace::policy::Settings::built_in();
    let request = request.expect("a review");
    let decision = admission::mutate::mutate(request, &namespace, &settings);
    for change in &decision.changes {
        assert!(change.to_string().len() < 500, "{change}");
    }
    let is_listed = decision
        .changes
        .iter()
        .any(|c| c.to_string().ends_with("SETUID and 2984 more"));
    assert!(
        is_listed,
        "{:?}",
        decision
            .changes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_control_is_named_however_many_violations_come_before_it() {
    let privileged = |n| json!({"name": format!("c-{n}"), "securityContext": {"privileged": true}});
    let containers: Vec<_> = (0..100).map(privileged).collect();
    let sysctls = json!({"sysctls": [{"name": "kernel.shm_rmid_forced"}, {"name": "kernel.evil"}]});
    let pod = json!({"spec": {"containers": containers, "securityContext": sysctls}});
    let review = review_of(&pod).to_string();
    let request = admission::request::Request::from_review(review.as_bytes());
    let label = ("podseal.io/profile".to_owned(), "rootless".to_owned());
    let namespace = admission::namespace::Namespace::new("gitlab-ci", [label], []);
    let settings = admission::namespace::policy::Settings::built_in();
    let decision = admission::validate::validate(request.expect("a review"), &namespace, &settings);
    assert_eq!(
        (decision.violations.count, decision.violations.listed.len()),
        (101, 32)
    );
    let families: Vec<_> = decision
        .violations
        .families
        .iter()
        .map(|f| f.name())
        .collect();
    assert_eq!(families, ["privileged", "sysctls"]);
}
