//! `podseal review` says what `podseal serve` says, of every fixture in a
//! namespace of every profile.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::podseal::Podseal;
use support::{block_on, text};

mod support;

const PROFILES: [&str; 7] = [
    "userns",
    "rootless",
    "root-fuse",
    "openshift",
    "privileged",
    "none",
    "unknown",
];

fn namespaces() -> String {
    let namespace = |profile: &str| {
        format!(
            "kind: Namespace\nmetadata: {{name: ci-{profile}, labels: {{podseal.io/profile: {profile}}}}}\n"
        )
    };
    let plain = "kind: Namespace\nmetadata: {name: ci-plain}\n".to_owned();
    let all: Vec<_> = PROFILES.into_iter().map(namespace).chain([plain]).collect();
    all.join("---\n")
}

fn fixtures() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pods");
    let files = std::fs::read_dir(folder).expect("the fixtures");
    let mut names: Vec<_> = files
        .map(|file| {
            file.expect("a file")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name.clone(), support::pod(&name)))
        .collect()
}

/// Every fixture in every namespace, and some that are denied.
fn reviews() -> Vec<Value> {
    let mut pods = fixtures();
    for (name, home) in [
        ("denied-home", "/etc"),
        ("ancestor-home", "/"),
        ("own-home", "/root"),
    ] {
        let mut pod = support::pod("default-with-service");
        let env = pod["spec"]["containers"][0]["env"]
            .as_array_mut()
            .expect("env");
        env.push(json!({"name": "HOME", "value": home}));
        pods.push((name.to_owned(), pod));
    }
    let mut reviews = Vec::new();
    for (name, pod) in &pods {
        for profile in PROFILES.into_iter().chain(["plain"]) {
            reviews.push(json!({
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {
                    "uid": format!("{name}-in-{profile}"),
                    "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "resource": {"group": "", "version": "v1", "resource": "pods"},
                    "namespace": format!("ci-{profile}"),
                    "operation": "CREATE",
                    "userInfo": {"username": "system:serviceaccount:gitlab:gitlab-runner"},
                    "object": pod,
                },
            }));
        }
    }
    reviews
}

fn served(podseal: &Podseal, client: &reqwest::Client, review: &Value) -> Value {
    let request = client
        .post(format!("{}/mutate", podseal.url))
        .body(review.to_string());
    let body = block_on(async {
        request
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .expect("a text")
    });
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["response"].clone()
}

#[test]
fn review_gives_what_serve_gives_for_every_fixture_in_every_profile() {
    let namespaces = namespaces();
    let podseal = Podseal::for_namespaces(&namespaces);
    let client = podseal.client().build().expect("a client");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &namespaces).expect("the namespaces");
    let reviews = reviews();
    let input: String = reviews.iter().map(|review| format!("{review}\n")).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .args(["review", "-o", "json", "--namespaces"])
        .arg(file.path())
        .arg("-");
    let output = support::run(command, &input);
    assert_eq!(
        output.status.code(),
        Some(1),
        "some are denied: {}",
        text(&output.stderr)
    );
    let stdout = text(&output.stdout);
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(lines.len(), reviews.len());
    let (mut patched, mut denied) = (0, 0);
    for (review, line) in reviews.iter().zip(&lines) {
        let served = served(&podseal, &client, review);
        let uid = &review["request"]["uid"];
        assert_eq!(served["uid"], *uid);
        assert_eq!(line["allowed"], served["allowed"], "{uid}");
        let patch = served["patch"].as_str().map(|patch| {
            let patch = STANDARD.decode(patch).expect("base64");
            serde_json::from_slice::<Value>(&patch).expect("a patch")
        });
        assert_eq!(line["patch"], patch.clone().unwrap_or(Value::Null), "{uid}");
        let record = podseal.await_event(|event| event["uid"] == *uid);
        assert_eq!(record["code"], line["code"], "{uid}");
        assert_eq!(record["profile"], line["profile"], "{uid}");
        if served["allowed"] == false {
            denied += 1;
            assert_eq!(line["message"], served["status"]["message"], "{uid}");
            assert_eq!(line["object"], Value::Null, "{uid}");
        }
        if let Some(patch) = patch {
            patched += 1;
            let told: Vec<_> = line["changes"]
                .as_array()
                .expect("changes")
                .iter()
                .collect();
            let recorded = record["changes"].as_str().expect("changes");
            let joined: Vec<_> = told.iter().filter_map(|change| change.as_str()).collect();
            assert_eq!(recorded, joined.join("; "), "{uid}");
            let mut object = review["request"]["object"].clone();
            let patch: json_patch::Patch = serde_json::from_value(patch).expect("a patch");
            json_patch::patch(&mut object, &patch).expect("it fits");
            assert_eq!(line["object"], object, "{uid}");
        }
    }
    assert!(
        patched > 40 && denied > 10,
        "{patched} patched, {denied} denied"
    );
}
