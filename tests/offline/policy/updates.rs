//! Updates: what a pod has may stay, and what is new may not violate its level.

use admission::decision::Outcome;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, PROFILE};
use admission::request::Request;
use admission::validate::validate;
use cases::fixture;
use cases::fixtures::job_without_services;
use cases::review::review_of;
use cases::view::container_mut;
use serde_json::{Value, json};

use super::{fate_with, namespace};

/// What `/validate` decides on an update from `old` to `new`.
fn update(old: &Value, new: &Value) -> Outcome {
    let mut review = review_of(new);
    review["request"]["operation"] = "UPDATE".into();
    review["request"]["oldObject"] = old.clone();
    let text = review.to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    validate(
        request,
        &namespace(&[(PROFILE, "none")], None),
        &Settings::built_in(),
    )
    .outcome
}

/// The sentence of the denial of an update.
fn denied(old: &Value, new: &Value) -> String {
    match update(old, new) {
        Outcome::Deny(denial) => denial.message,
        outcome => panic!("the update passes: {outcome:?}"),
    }
}

#[test]
fn a_pod_with_any_violation_allows_no_new_image_and_no_new_container() {
    let old = fixture("privileged-with-service");
    let containers = old["spec"]["containers"].as_array().expect("containers");
    for container in containers {
        let name = container["name"].as_str().expect("a name");
        let mut new = old.clone();
        container_mut(&mut new, name)["image"] = "attacker:latest".into();
        let message = denied(&old, &new);
        let beginning =
            format!("container \"{name}\", image: a new image or container is not allowed");
        assert!(message.starts_with(&beginning), "{message}");
        assert!(message.contains("control privileged") && message.contains("; to fix this, "));
    }
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] =
        json!([{"name": "debug", "image": "x", "targetContainerName": "build"}]);
    let message = denied(&old, &new);
    assert!(
        message.starts_with("ephemeral container \"debug\", image: "),
        "{message}"
    );
    assert!(
        matches!(update(&new, &new), Outcome::Allow(_)),
        "it is there already"
    );
    assert!(
        matches!(update(&new, &old), Outcome::Allow(_)),
        "something goes"
    );
    assert!(
        matches!(update(&old, &old), Outcome::Allow(_)),
        "nothing changes"
    );
    let mut resized = old.clone();
    container_mut(&mut resized, "build")["resources"] = json!({"requests": {"cpu": "2"}});
    assert!(
        matches!(update(&old, &resized), Outcome::Allow(_)),
        "it is resized"
    );
}

#[test]
fn where_nodes_may_ignore_user_namespaces_a_pod_with_one_is_validated_like_any_other() {
    let restricted = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let with = |key: &str, value: Value| {
        let mut context = restricted.clone();
        context[key] = value;
        context
    };
    // What a user namespace relaxes, at the level that requires it otherwise.
    let relaxed = [
        ("baseline", json!({"procMount": "Unmasked"})),
        ("restricted", with("runAsUser", json!(0))),
        ("restricted", with("runAsNonRoot", json!(false))),
        ("restricted", restricted.clone()),
    ];
    let ignoring = Settings {
        ignore_user_namespaces: true,
        ..Settings::built_in()
    };
    for (level, context) in relaxed {
        let pod = |own_ids: bool, image: &str| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "app"},
                "spec": {
                    "hostUsers": !own_ids,
                    "containers": [{"name": "app", "image": image, "securityContext": context}],
                },
            })
        };
        let namespace = namespace(&[(PROFILE, "none"), (LEVEL, level)], None);
        let judged = |review: &Value, settings: &Settings<'_>| {
            fate_with(review, &namespace, settings).allowed
        };
        let created = |own_ids| review_of(&pod(own_ids, "x"));
        assert!(judged(&created(true), &Settings::built_in()), "{context}");
        assert!(!judged(&created(true), &ignoring), "{context}");
        assert!(!judged(&created(false), &Settings::built_in()), "{context}");
        // In an update what was there may stay, and another image counts as new.
        let updated = |image| {
            let mut review = review_of(&pod(true, image));
            review["request"]["operation"] = "UPDATE".into();
            review["request"]["oldObject"] = pod(true, "x");
            review
        };
        assert!(judged(&updated("x"), &ignoring), "{context}");
        assert!(judged(&updated("y"), &Settings::built_in()), "{context}");
        assert!(!judged(&updated("y"), &ignoring), "{context}");
    }
}

#[test]
fn a_violation_can_be_removed_with_or_without_a_new_image() {
    let mut old = job_without_services();
    old["spec"]["hostNetwork"] = true.into();
    let mut new = job_without_services();
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
    container_mut(&mut new, "build")["image"] = "other:latest".into();
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
}

#[test]
fn a_pod_without_violations_allows_new_images_and_containers() {
    let old = job_without_services();
    let mut new = old.clone();
    container_mut(&mut new, "build")["image"] = "other:latest".into();
    new["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "x"}]);
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
    new["spec"]["ephemeralContainers"][0]["securityContext"] = json!({"privileged": true});
    let message = denied(&old, &new);
    let sentence = "ephemeral container \"debug\", securityContext.privileged: true is forbidden";
    assert!(
        message.starts_with(sentence),
        "reported with its kind: {message}"
    );
}

#[test]
fn a_container_that_moves_in_its_list_or_has_fewer_violations_adds_no_violation() {
    let mut old = fixture("privileged-with-service");
    let adds = json!({"add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"]});
    container_mut(&mut old, "build")["securityContext"]["capabilities"] = adds;
    let mut new = old.clone();
    let adds = json!({"add": ["SYS_PTRACE", "SYS_ADMIN"]});
    container_mut(&mut new, "build")["securityContext"]["capabilities"] = adds;
    let list = new["spec"]["containers"]
        .as_array_mut()
        .expect("containers");
    list.reverse();
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
    let adds = json!({"add": ["SYS_PTRACE", "SYS_TIME"]});
    container_mut(&mut new, "build")["securityContext"]["capabilities"] = adds;
    let message = denied(&old, &new);
    assert!(message.starts_with("container \"build\", securityContext.capabilities.add: SYS_TIME"));
}
