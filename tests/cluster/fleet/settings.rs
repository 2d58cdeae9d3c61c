//! Namespaces that change a value of their profile.

use cases::review::review;
use cases::view::View;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER, await_condition};
use support::{block_on, text};

use crate::fleet::{CLUSTER, job, profiles};

const USER: &str = "podseal.io/run-as-user";
const HOME: &str = "podseal.io/home";
const SIZE: &str = "podseal.io/home-size";
const FUSE: &str = "podseal.io/fuse-resource";

/// A namespace of this profile, with this annotation.
fn namespace(profile: &str, mode: &str, annotation: &str, value: &str) -> String {
    let labels = json!({"podseal.io/profile": profile, "podseal.io/level": "privileged",
        "podseal.io/mode": mode});
    let name = CLUSTER.free_name("set");
    CLUSTER.namespace(&name, &labels, &json!({annotation: value}))
}

/// Which settings each profile supports; and why not, if it does not.
const CAN: [(&str, [&str; 4]); 15] = [
    ("rootless", ["", "", "", NO_DEVICE]),
    ("rootless-apparmor", ["", "", "", NO_DEVICE]),
    ("rootless-unconfined", ["", "", "", NO_DEVICE]),
    ("rootless-seccomp", ["", "", "", NO_DEVICE]),
    ("rootless-istio", ["", "", "", NO_DEVICE]),
    ("dind-service", ["", "", "", NO_DEVICE]),
    ("home-in-memory", ["", "", "", NO_DEVICE]),
    ("buildkit", [NOT_ALLOWED, "", NOT_ALLOWED, NOT_ALLOWED]),
    ("openshift", ["", "", "", NO_DEVICE]),
    ("openshift-nested", ["", "", "", NO_DEVICE]),
    ("userns", ["", "", "", NO_DEVICE]),
    ("privileged", ["", "", "", NO_DEVICE]),
    ("root", [NO_USER, NO_HOME, "", NO_DEVICE]),
    ("root-fuse", [NO_USER, NO_HOME, NO_VOLUME, ""]),
    ("none", [NO_USER, NO_HOME, NO_VOLUME, NO_DEVICE]),
];

const NOT_ALLOWED: &str = "the profile does not allow a namespace to override it";
const NO_USER: &str = "the profile sets no user other than root";
const NO_HOME: &str = "the profile sets no HOME";
const NO_VOLUME: &str = "the profile adds no volume";
const NO_DEVICE: &str = "the profile requests no fuse device";

#[test]
fn each_setting_changes_each_profile_that_supports_it_and_is_denied_with_the_others() {
    assert_eq!(CAN.len(), profiles().iter().count(), "every profile");
    let values = [
        (USER, "2345"),
        (HOME, "/work/home"),
        (SIZE, "3Gi"),
        (FUSE, "smarter-devices/fuse"),
    ];
    for (profile, can) in CAN {
        for ((annotation, value), why_not) in values.into_iter().zip(can) {
            let what = format!("{annotation} of {profile}");
            let namespace = namespace(profile, "enforce", annotation, value);
            let pod = job("umask-collector", "first");
            let (code, answer) = CLUSTER.create_pod(&namespace, &pod);
            if !why_not.is_empty() {
                let message = answer["message"].as_str().expect("a message");
                let reported =
                    format!("and the annotation {annotation} cannot be applied: {why_not}; ");
                assert!(
                    code == 403 && message.contains(&reported),
                    "{what}: {message}"
                );
                continue;
            }
            assert_eq!(code, 201, "{what}: {answer:#}");
            assert_changed(&View(answer), annotation, &what);
            assert_right_when_created_anew(&namespace, &what);
        }
    }
}

fn assert_changed(pod: &View, annotation: &str, what: &str) {
    // With the uid collector in the pod, helper keeps running as root.
    let of_runner = ["build", "init-permissions", "init-build-uid-gid-collector"];
    match annotation {
        USER => {
            let users = of_runner.map(|container| pod.uid(container));
            assert_eq!(users, [Some(2345); 3], "{what}");
        }
        HOME => {
            for container in ["build", "helper"] {
                assert_eq!(
                    pod.env(container, "HOME").as_deref(),
                    Some("/work/home"),
                    "{what}"
                );
                let volume = pod.mounted_at(container, "/work/home").expect("a volume");
                assert_eq!(volume["name"], "podseal-home", "{what}");
                assert!(
                    pod.mounted_at(container, "/my_custom_dir").is_none(),
                    "{what}"
                );
            }
        }
        SIZE => {
            let volumes = pod.0["spec"]["volumes"].as_array().expect("volumes");
            let is_ours = |volume: &&Value| {
                let name = volume["name"].as_str();
                name.is_some_and(|name| name.starts_with("podseal-"))
            };
            let ours: Vec<_> = volumes.iter().filter(is_ours).collect();
            assert!(!ours.is_empty(), "{what}");
            for volume in ours {
                assert_eq!(volume["emptyDir"]["sizeLimit"], "3Gi", "{what}");
            }
        }
        _ => {
            let resources = &pod.container("build")["resources"];
            let only = json!({"smarter-devices/fuse": "1"});
            assert_eq!(
                (&resources["limits"], &resources["requests"]),
                (&only, &only),
                "{what}"
            );
        }
    }
}

/// A stored pod, created again under another name, needs no further patch.
fn assert_right_when_created_anew(namespace: &str, what: &str) {
    let mut pod = CLUSTER.plane.stored_pod(namespace, "first");
    let name = format!("{namespace}-again");
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| ["labels", "annotations"].contains(&key.as_str()));
    metadata.insert("name".to_owned(), name.as_str().into());
    let (code, answer) = CLUSTER.create_pod(namespace, &pod);
    assert_eq!(code, 201, "{what}: {answer:#}");
    let record = CLUSTER.podseal.decision_on("mutate", &name);
    assert_eq!(record["decision"], "allow", "{what}: {record:#}");
}

#[test]
fn every_invalid_value_is_denied_with_the_value_bounded_and_escaped() {
    let long = "9".repeat(3000);
    let users = [
        "",
        "0",
        "65536",
        "007",
        "+5",
        "-1",
        " 5",
        "5 ",
        "0x10",
        "1e3",
        "5.0",
        "root",
        "٣",
        "５",
        "1\n2",
        "5\u{1b}[31m",
        "\u{202e}5",
        "99999999999999999999",
        &long,
    ];
    let long = format!("/{}", "x".repeat(600));
    let homes = [
        "",
        "/",
        "//",
        "..",
        "home",
        "~",
        "/proc",
        "/proc/1",
        "/sys",
        "/dev/shm",
        "/etc",
        "/run/x",
        "/home",
        "/home/podman",
        "/home/podman/x",
        "/var",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/a:b",
        "/$HOME",
        "/a\n/b",
        "/a\u{1b}[2J",
        "/a\u{0}",
        &long,
    ];
    let long = format!("{}aa/fuse", "a.".repeat(123));
    let devices = [
        "",
        "fuse",
        "cpu",
        "memory",
        "/fuse",
        "github.com/",
        "github.com/a/b",
        "github.com/fu se",
        "github.com/-fuse",
        "GitHub.com/fuse",
        "gıthub.com/fuse",
        "kubernetes.io/fuse",
        "x.kubernetes.io/fuse",
        "xkubernetes.io/fuse",
        "requests.x/y",
        "hugepages-2Mi",
        "pods",
        "github.com/fuse\u{1b}[31m",
        "github.com\n/fuse",
        &long,
    ];
    let values = [
        ("rootless", USER, &users[..]),
        ("userns", HOME, &homes[..]),
        ("root-fuse", FUSE, &devices[..]),
    ];
    for (profile, annotation, wrong) in values {
        for value in wrong.iter().filter(|value| !value.contains('\0')) {
            let namespace = namespace(profile, "enforce", annotation, value);
            let pod = job("default-with-service", "wrong");
            let (code, status) = CLUSTER.create_pod(&namespace, &pod);
            let message = status["message"].as_str().expect("a message");
            let reported = format!(
                "admission webhook \"mutate.podseal.io\" denied the request: namespace \
                 \"{namespace}\" has the label podseal.io/profile: \"{profile}\", and the \
                 annotation {annotation} cannot be applied: "
            );
            assert!(
                code == 403 && message.starts_with(&reported),
                "{value:?}: {message}"
            );
            assert!(message.contains("; to fix this, "), "{message}");
            assert!(message.len() < 800, "{} bytes: {message}", message.len());
            let is_plain = |c: char| !c.is_control() && c != '\u{202e}';
            assert!(message.chars().all(is_plain), "{message:?}");
        }
    }
}

#[test]
fn an_invalid_value_is_warned_of_or_recorded_where_the_mode_is_less_strict() {
    let pod = |name: &str| job("default-with-service", name).to_string();
    let create = |mode: &str, pod: &str| {
        let namespace = namespace("rootless", mode, USER, "0");
        let args = ["create", "-n", &namespace, "-f", "-"];
        let output = CLUSTER.plane.kubectl(RUNNER, &args, pod);
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "{mode}: {stderr}");
        stderr
    };
    let stderr = create("warn", &pod("mild-warn"));
    assert!(
        stderr.contains("Warning: podseal would deny this: namespace "),
        "{stderr}"
    );
    let stderr = create("audit", &pod("mild-audit"));
    assert!(!stderr.contains("Warning"), "{stderr}");
    for name in ["mild-warn", "mild-audit"] {
        let record = CLUSTER.podseal.decision_on("mutate", name);
        assert_eq!(
            (&record["decision"], &record["code"]),
            (&json!("deny"), &json!(403))
        );
        let message = record["message"].as_str().expect("a message");
        assert!(
            message.contains("\"0\" is not a user ID from 1 to 65535"),
            "{message}"
        );
    }
}

#[test]
fn the_jobs_own_home_overrides_the_namespaces() {
    let namespace = namespace("rootless", "enforce", HOME, "/work/home");
    let mut pod = job("default-with-service", "own-home");
    let env = pod["spec"]["containers"][0]["env"]
        .as_array_mut()
        .expect("env");
    env.push(json!({"name": "HOME", "value": "/mine"}));
    let (code, answer) = CLUSTER.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let pod = View(answer);
    assert_eq!(pod.env("build", "HOME").as_deref(), Some("/mine"));
    assert!(pod.mounted_at("build", "/work/home").is_none());
}

/// What `/validate` decides on `pod`, called as the API server would.
fn judged(namespace: &str, pod: &Value) -> Value {
    let review = review("u", namespace, pod);
    let client = CLUSTER.podseal.client().build().expect("a client");
    let url = format!("{}/validate", CLUSTER.podseal.url);
    let answer = block_on(async {
        let response = client.post(url).body(review.to_string()).send().await;
        response.expect("an answer").text().await.expect("a text")
    });
    serde_json::from_str::<Value>(&answer).expect("JSON")["response"].clone()
}

#[test]
fn a_setting_that_changes_between_correction_and_validation_admits_nothing_more() {
    // A custom profile leaves a mark, which identifies the change to
    // `/validate`.
    for (profile, passes) in [("rootless", false), ("home-in-memory", true)] {
        let namespace = namespace(profile, "enforce", USER, "2000");
        let mut pod = job("native-steps", &format!("before-{profile}"));
        let (code, before) = CLUSTER.try_pod(&namespace, &pod);
        assert_eq!(code, 201, "{before:#}");
        assert_eq!(View(before.clone()).uid("build"), Some(2000));
        assert_eq!(judged(&namespace, &before)["allowed"], true);
        let annotation = format!("{USER}=2001");
        let args = [
            "annotate",
            "--overwrite",
            "namespace",
            &namespace,
            &annotation,
        ];
        let output = CLUSTER.plane.kubectl(ADMIN, &args, "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        pod["metadata"]["name"] = format!("after-{profile}").into();
        let holds = || {
            let (code, answer) = CLUSTER.try_pod(&namespace, &pod);
            // Denied while only one of the two webhooks has the new value.
            code == 201 && View(answer).uid("build") == Some(2001)
        };
        await_condition("the new value applies", holds, String::new);
        let judgement = judged(&namespace, &before);
        assert_eq!(judgement["allowed"], passes, "{profile}: {judgement:#}");
        if !passes {
            let message = judgement["status"]["message"].as_str().expect("a message");
            let why = "the pod lacks what its profile sets: container build: \
                       securityContext.runAsUser set to 2001 (was 2000)";
            assert!(message.starts_with(why), "{message}");
        }
    }
}
