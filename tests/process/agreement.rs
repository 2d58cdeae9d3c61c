//! `podseal review` decides what `podseal serve` decides, for every fixture in a
//! namespace of every profile.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cases::review::review;
use serde_json::{Value, json};
use support::podseal::Podseal;
use support::{block_on, text};

const PROFILES: [&str; 8] = [
    "userns",
    "rootless",
    "root",
    "root-fuse",
    "openshift",
    "privileged",
    "none",
    "unknown",
];

/// Labels in addition to the profile: a suffix of the namespace's name, and the
/// labels.
const HELD: [(&str, &str); 6] = [
    ("", ""),
    ("-restricted", ", podseal.io/level: restricted"),
    ("-privileged", ", podseal.io/level: privileged"),
    ("-warn", ", podseal.io/mode: warn"),
    ("-audit", ", podseal.io/mode: audit"),
    (
        "-mistyped",
        ", podseal.io/level: strict, podseal.io/mode: aduit",
    ),
];

/// Every namespace: each profile at each of [`HELD`], one with a runner of its own,
/// and one that does not opt in.
fn namespaces() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for profile in PROFILES {
        for (suffix, labels) in HELD {
            let name = format!("ci-{profile}{suffix}");
            let text = format!(
                "kind: Namespace\nmetadata: {{name: {name}, labels: {{podseal.io/profile: \
                 {profile}{labels}}}}}\n"
            );
            all.push((name, text));
        }
    }
    let runner = "kind: Namespace\nmetadata: {name: ci-runner, labels: {podseal.io/profile: \
                  privileged}, annotations: {podseal.io/runner: 'system:serviceaccount:x:y'}}\n";
    all.push(("ci-runner".to_owned(), runner.to_owned()));
    let plain = "kind: Namespace\nmetadata: {name: ci-plain}\n";
    all.push(("ci-plain".to_owned(), plain.to_owned()));
    all
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
        .map(|name| (name.clone(), cases::fixture(&name)))
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
        let mut pod = cases::fixture("default-with-service");
        let env = pod["spec"]["containers"][0]["env"]
            .as_array_mut()
            .expect("env");
        env.push(json!({"name": "HOME", "value": home}));
        pods.push((name.to_owned(), pod));
    }
    let mut reviews = Vec::new();
    for (name, pod) in &pods {
        for (namespace, _) in namespaces() {
            reviews.push(review(&format!("{name}-in-{namespace}"), &namespace, pod));
        }
    }
    reviews
}

/// What happens to the review, sent as the API server sends it: corrected, and
/// then, as it is in the end, judged.
struct Served {
    allowed: bool,
    patch: Value,
    object: Value,
    message: Value,
    code: Value,
}

fn served(podseal: &Podseal, client: &reqwest::Client, review: &Value) -> Served {
    let post = |path: &str, review: &Value| {
        let request = client
            .post(format!("{}{path}", podseal.url))
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
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        answer["response"].clone()
    };
    let corrected = post("/mutate", review);
    let mut object = review["request"]["object"].clone();
    let patch = corrected["patch"].as_str().map(|patch| {
        let patch = STANDARD.decode(patch).expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
        json_patch::patch(&mut object, &patch).expect("it fits");
        serde_json::to_value(patch).expect("JSON")
    });
    let mut last = corrected;
    if last["allowed"] == true {
        let mut review = review.clone();
        review["request"]["object"] = object.clone();
        last = post("/validate", &review);
    }
    let allowed = last["allowed"] == true;
    Served {
        allowed,
        patch: patch.filter(|_| allowed).unwrap_or(Value::Null),
        object: if allowed { object } else { Value::Null },
        message: last["status"]["message"].clone(),
        code: last["status"]["code"].clone(),
    }
}

#[test]
fn review_and_serve_decide_the_same_for_every_fixture_in_every_namespace() {
    // The default, and its opposite.
    agree(&[]);
    agree(&["--require-runner=false"]);
}

/// Compares the decisions of both, started with these arguments.
fn agree(arguments: &[&str]) {
    let texts: Vec<_> = namespaces().into_iter().map(|(_, text)| text).collect();
    let texts = texts.join("---\n");
    let podseal = Podseal::with_namespaces(&texts, arguments);
    let client = podseal.client().build().expect("a client");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &texts).expect("the namespaces");
    let reviews = reviews();
    let input: String = reviews.iter().map(|review| format!("{review}\n")).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .args(["review", "-o", "json", "--namespaces"])
        .arg(file.path())
        .args(arguments)
        .arg("-");
    let output = support::run(command, &input);
    assert_eq!(
        output.status.code(),
        Some(1),
        "some are denied: {}",
        text(&output.stderr)
    );
    let stdout = text(&output.stdout);
    let line = |line| serde_json::from_str::<Value>(line).expect("a JSON line");
    let lines: Vec<_> = stdout.lines().map(line).collect();
    assert_eq!(lines.len(), reviews.len());
    let (mut patched, mut denied, mut spared) = (0, 0, 0);
    for (review, line) in reviews.iter().zip(&lines) {
        let uid = &review["request"]["uid"];
        let served = served(&podseal, &client, review);
        assert_eq!(line["allowed"], served.allowed, "{uid}");
        assert_eq!(line["patch"], served.patch, "{uid}");
        assert_eq!(line["object"], served.object, "{uid}");
        if !served.allowed {
            denied += 1;
            assert_eq!(
                (&line["message"], &line["code"]),
                (&served.message, &served.code),
                "{uid}"
            );
        }
        patched += usize::from(!served.patch.is_null());
        spared += usize::from(served.allowed && line["decision"] == "deny");
    }
    assert!(
        patched > 130 && denied > 150 && spared > 50,
        "{patched} patched, {denied} denied, {spared} spared by the mode"
    );
}
