//! Reviews that no API server sends, posted to podseal's port.

use cases::review::UID;
use serde_json::{Value, json};
use support::block_on;

use super::{job, namespace_for, secure};
use crate::apiserver::{CLUSTER, complying_pod};

/// The review of `user` creating `pod` in `namespace`.
pub(super) fn review(namespace: &str, user: &str, pod: &Value) -> Value {
    let mut review = cases::review::review(UID, namespace, pod);
    review["request"]["userInfo"] = json!({"username": user});
    review
}

/// What podseal answers to the body at `/validate`.
pub(super) fn post(body: impl Into<reqwest::Body>) -> (u16, String) {
    let client = CLUSTER.podseal.client().build().expect("a client");
    let url = format!("{}/validate", CLUSTER.podseal.url);
    block_on(async {
        let response = client.post(url).body(body).send().await.expect("an answer");
        let code = response.status().as_u16();
        (code, response.text().await.expect("a text"))
    })
}

/// The sentence of a denial; nothing where podseal allows.
fn denial(review: &Value) -> Option<String> {
    let (code, body) = post(review.to_string());
    assert_eq!(code, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let response = &answer["response"];
    let message = response["status"]["message"].as_str();
    assert_eq!(
        response["allowed"] == json!(true),
        message.is_none(),
        "{response}"
    );
    message.map(str::to_owned)
}

fn privileged() -> Value {
    let mut pod = complying_pod("direct");
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    pod
}

#[test]
fn a_pod_is_validated_by_the_requests_namespace_whatever_its_own_metadata() {
    let (strict, lax) = (namespace_for("none", "baseline"), CLUSTER.namespace(None));
    let mut pod = privileged();
    pod["metadata"]["namespace"] = json!(lax);
    let message = denial(&review(&strict, "admin", &pod)).expect("it is denied");
    assert!(
        message.contains(&format!("namespace \"{strict}\"")),
        "{message}"
    );
    pod["metadata"]["namespace"] = json!(strict);
    assert_eq!(
        denial(&review(&lax, "admin", &pod)),
        None,
        "nor the other way round"
    );
    pod["metadata"] = json!({"name": "direct"});
    assert!(
        denial(&review(&strict, "admin", &pod)).is_some(),
        "without any"
    );
}

#[test]
fn a_user_with_a_name_similar_to_the_runners_is_not_the_runner() {
    let namespace = namespace_for("privileged", "baseline");
    let runner = "system:serviceaccount:gitlab:gitlab-runner";
    // As the correction would have left it.
    let stored = {
        let (code, answer) = CLUSTER.plane.try_pod(&namespace, &job("stored"));
        assert_eq!(code, 201, "{answer:#}");
        answer
    };
    assert_eq!(denial(&review(&namespace, runner, &stored)), None);
    for user in [
        "",
        "system:serviceaccount:gitlab:gitlab-runner ",
        " system:serviceaccount:gitlab:gitlab-runner",
        "system:serviceaccount:gitlab:Gitlab-runner",
        "system:serviceaccount:gitlab:gitlab-runner-2",
        "system:serviceaccount:gitlab",
        "system:serviceaccount:other:gitlab-runner",
    ] {
        let message = denial(&review(&namespace, user, &stored)).expect(user);
        assert!(
            message.starts_with("container \"build\""),
            "{user}: {message}"
        );
    }
    let mut nameless = review(&namespace, runner, &stored);
    nameless["request"]["userInfo"] = json!({"groups": [runner]});
    assert!(denial(&nameless).is_some(), "a group is no user");
}

#[test]
fn two_containers_with_the_same_name_are_both_validated() {
    let namespace = namespace_for("rootless", "baseline");
    let runner = "system:serviceaccount:gitlab:gitlab-runner";
    let (_, stored) = CLUSTER.plane.try_pod(&namespace, &job("twice"));
    for list in ["containers", "initContainers"] {
        let mut pod = stored.clone();
        super::add(&mut pod, list, "build", &json!({"privileged": true}));
        assert!(
            denial(&review(&namespace, runner, &pod)).is_some(),
            "{list}"
        );
    }
}

#[test]
fn a_job_that_lacks_what_its_profile_sets_is_denied_with_what_it_lacks() {
    let namespace = namespace_for("privileged", "baseline");
    let runner = "system:serviceaccount:gitlab:gitlab-runner";
    let (_, stored) = CLUSTER.plane.try_pod(&namespace, &job("undone"));
    for (container, list) in [
        ("helper", "container"),
        ("init-permissions", "init container"),
    ] {
        let mut pod = stored.clone();
        secure(&mut pod, container, "privileged", json!(true));
        let message = denial(&review(&namespace, runner, &pod)).expect(container);
        assert!(
            message.starts_with("the pod lacks what its profile sets: "),
            "{message}"
        );
        assert!(
            message.contains(&format!("{list} {container}")),
            "{message}"
        );
    }
}

/// `HOME` is a job variable: its author's.
#[test]
fn a_home_with_a_phrase_that_the_runner_retries_on_does_not_make_it_retry() {
    let namespace = namespace_for("rootless", "baseline");
    let runner = "system:serviceaccount:gitlab:gitlab-runner";
    let mut pod = job("home");
    let env = super::container(&mut pod, "build")["env"].as_array_mut();
    env.expect("env")
        .push(json!({"name": "HOME", "value": "/connection refused/home"}));
    let (code, mut stored) = CLUSTER.plane.try_pod(&namespace, &pod);
    assert_eq!(code, 201, "{stored:#}");
    super::container(&mut stored, "helper")["env"] = json!([]);
    let message = denial(&review(&namespace, runner, &stored)).expect("it is undone");
    assert!(!message.contains("connection refused"), "{message}");
}

#[test]
fn a_missing_namespace_is_not_treated_as_one_without_the_label() {
    let (code, body) = post(review("no-such-namespace", "admin", &privileged()).to_string());
    assert_eq!(code, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let status = &answer["response"]["status"];
    assert_eq!(answer["response"]["allowed"], json!(false), "{answer:#}");
    assert_eq!(status["code"], json!(503), "{answer:#}");
    assert_eq!(
        status["details"]["retryAfterSeconds"],
        json!(1),
        "{answer:#}"
    );
}

#[test]
fn requests_that_are_not_reviews_are_rejected_and_podseal_keeps_running() {
    let namespace = namespace_for("none", "baseline");
    let good = review(&namespace, "admin", &privileged());
    let with = |at: &str, value: Value| {
        let mut review = good.clone();
        let (parent, key) = at.rsplit_once('/').expect("a pointer");
        review.pointer_mut(parent).expect("a parent")[key] = value;
        review.to_string()
    };
    let text = good.to_string();
    let context = "/request/object/spec/containers";
    let deep = "[".repeat(100_000);
    let cases = [
        ("nothing", String::new()),
        ("a list", "[]".to_owned()),
        (
            "v1beta1",
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ),
        (
            "an unknown version",
            with("/apiVersion", json!("admission.k8s.io/v2")),
        ),
        ("another kind", with("/kind", json!("Pod"))),
        ("no request", with("/request", json!(null))),
        ("no uid", with("/request/uid", json!(""))),
        ("no operation", with("/request/operation", json!(null))),
        ("no namespace", with("/request/namespace", json!(""))),
        ("containers as text", with(context, json!("none"))),
        ("containers as an object", with(context, json!({"0": {}}))),
        ("a pod as a list", with("/request/object", json!([{}, {}]))),
        (
            "a wrong type",
            text.replace("\"privileged\":true", "\"privileged\":\"true\""),
        ),
        (
            "a duplicate key",
            text.replace(
                "\"privileged\":true",
                "\"privileged\":true,\"privileged\":false",
            ),
        ),
        (
            "a second request",
            format!("{},\"request\":{{}}}}", &text[..text.len() - 1]),
        ),
        ("very deep", deep.clone()),
        (
            "very deep within",
            text.replace("\"privileged\":true", &format!("\"privileged\":{deep}")),
        ),
        ("half of it", text[..text.len() / 2].to_owned()),
    ];
    for (what, body) in cases {
        let (code, answer) = post(body);
        assert!((400..500).contains(&code), "{what}: {code} {answer}");
        assert!(
            answer.len() < 1000 && answer.trim_end().lines().count() == 1,
            "{what}: {answer}"
        );
    }
    let (code, _) = post(vec![0xff, 0xfe, 0x7b]);
    assert_eq!(code, 400, "not UTF-8");
    let (code, _) = post(vec![b' '; 8 * 1024 * 1024]);
    assert_eq!(code, 413, "too large");
    // What podseal does not know it skips, without going down into it.
    let unknown = format!(
        "\"unknown\":{deep}{},\"privileged\":true",
        "]".repeat(100_000)
    );
    let (code, answer) = post(text.replace("\"privileged\":true", &unknown));
    let is_denied = answer.contains("\"allowed\":false");
    assert!(
        code == 400 || is_denied,
        "deep and unknown: {code} {answer}"
    );
    assert!(denial(&good).is_some(), "and podseal lives and judges");
}
