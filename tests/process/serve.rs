//! `podseal serve` as a client meets it: TLS, HTTP, limits, and the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use cases::review::{NAMESPACES, review};
use serde_json::{Value, json};
use support::podseal::Podseal;
use support::{block_on, text};

fn job() -> Value {
    cases::fixture("default-with-service")
}

/// Posts `body`, and returns the code and the text.
fn post(podseal: &Podseal, body: impl Into<reqwest::Body>) -> (u16, String) {
    let client = podseal.client().build().expect("a client");
    let request = client.post(format!("{}/mutate", podseal.url)).body(body);
    block_on(async {
        let response = request.send().await.expect("an answer");
        (
            response.status().as_u16(),
            response.text().await.expect("a text"),
        )
    })
}

fn answer(podseal: &Podseal, review: &Value) -> Value {
    let (code, body) = post(podseal, review.to_string());
    assert_eq!(code, 200, "{body}");
    serde_json::from_str::<Value>(&body).expect("JSON")["response"].clone()
}

#[test]
fn answers_over_http_1_and_http_2() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let review = review("u-1", "ci", &job()).to_string();
    for (version, client) in [
        (reqwest::Version::HTTP_11, podseal.client().http1_only()),
        (
            reqwest::Version::HTTP_2,
            podseal.client().http2_prior_knowledge(),
        ),
    ] {
        let client = client.build().expect("a client");
        let url = format!("{}/mutate", podseal.url);
        let response = block_on(client.post(url).body(review.clone()).send()).expect("an answer");
        assert_eq!(response.version(), version);
        let body: Value =
            serde_json::from_str(&block_on(response.text()).expect("a text")).expect("JSON");
        assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(body["response"]["uid"], "u-1");
        assert_eq!(body["response"]["patchType"], "JSONPatch");
        assert_eq!(body["response"]["auditAnnotations"]["profile"], "rootless");
        assert_eq!(body["response"]["auditAnnotations"]["decision"], "mutate");
    }
}

/// Those of the log's lines that are about runners without a name.
fn unnamed(podseal: &Podseal) -> Vec<String> {
    // They come with the first list, and so before what is decided by it.
    let answered = answer(podseal, &review("u", "ci", &job()));
    assert_eq!(answered["uid"], "u");
    let lines = podseal.lines().into_iter();
    lines
        .filter(|line| line.contains("namespace_count"))
        .collect()
}

#[test]
fn namespaces_and_rules_that_grant_and_name_no_runner_are_listed_at_the_start() {
    let labelled = |name: &str, more: &str| {
        let labels = "labels: {podseal.io/profile: privileged}";
        format!("---\n{{kind: Namespace, metadata: {{name: {name}, {labels}{more}}}}}\n")
    };
    let named = ", annotations: {podseal.io/runner: 'system:serviceaccount:gitlab:gitlab-runner'}";
    let mut namespaces = format!("{NAMESPACES}\n{}", labelled("a-named", named));
    for number in 0..200 {
        namespaces += &labelled(&format!("unnamed-{number:03}"), "");
    }
    let rules = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = "rules:\n- {name: jobs, namespaces: {prefix: ci-job-}, profile: privileged}\n\
                - {name: fine, namespaces: {prefix: fine-}, profile: privileged, runner: a}\n\
                - {name: rootless, namespaces: {prefix: rootless-}, profile: rootless}\n";
    std::fs::write(&rules, text).expect("the file can be written");
    let rules = rules.path().display().to_string();
    for (more, consequence) in [
        (&[][..], "their jobs are denied; to fix this"),
        (
            &["--require-runner=false"],
            "anyone who can create pods there gets",
        ),
    ] {
        let args = [&["--namespace-rules", &rules][..], more].concat();
        let podseal = Podseal::with_namespaces(&namespaces, &args);
        let line = podseal.await_event(|event| event.get("namespace_count").is_some());
        let first: Vec<_> = (0..10)
            .map(|number| format!("unnamed-{number:03}"))
            .collect();
        let listed = format!("{} and 190 more", first.join(", "));
        assert_eq!(line["namespaces"], listed);
        assert_eq!(line["namespace_rules"], "jobs");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["require_runner"], more.is_empty());
        let message = line["message"].as_str().expect("a message");
        assert!(message.contains(consequence), "{message}");
        assert!(
            message.contains("set the annotation podseal.io/runner"),
            "{message}"
        );
        assert!(line.to_string().len() < 2048, "{line}");
        assert_eq!(unnamed(&podseal).len(), 1, "once");
    }
}

#[test]
fn jobs_of_a_profile_that_grants_are_denied_by_default_until_the_runner_is_named() {
    let namespaces = format!(
        "{NAMESPACES}\n---\n{{kind: Namespace, metadata: {{name: open, labels: {{podseal.io/profile: privileged}}}}}}\n"
    );
    for (args, allowed) in [
        (&[][..], false),
        (&["--require-runner"], false),
        (&["--require-runner=true"], false),
        (&["--require-runner=false"], true),
    ] {
        let podseal = Podseal::with_namespaces(&namespaces, args);
        let answered = answer(&podseal, &review("u", "open", &job()));
        assert_eq!(answered["allowed"], allowed, "{args:?}: {answered:#}");
        let answered = answer(&podseal, &review("u", "ci", &job()));
        assert_eq!(
            answered["allowed"], true,
            "rootless grants nothing: {answered:#}"
        );
    }
}

#[test]
fn accepts_tls_1_2_and_1_3_and_nothing_older() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    for version in [
        reqwest::tls::Version::TLS_1_2,
        reqwest::tls::Version::TLS_1_3,
    ] {
        let client = podseal
            .client()
            .tls_version_min(version)
            .tls_version_max(version);
        let client = client.build().expect("a client");
        let get = client.get(format!("{}/", podseal.url)).send();
        assert_eq!(block_on(get).expect("an answer").status().as_u16(), 404);
    }
    // rustls has no older version to offer; what is older shows as a ClientHello
    // of TLS 1.1 being refused.
    let mut stream = connect(&podseal);
    stream.write_all(TLS_1_1_HELLO).expect("the hello is sent");
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert);
    assert_eq!(alert.first(), Some(&21), "a TLS alert: {alert:?}");
}

/// A minimal ClientHello that offers TLS 1.1 and one cipher suite.
const TLS_1_1_HELLO: &[u8] = &[
    22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 0, 0, 2, 0, 47, 1, 0,
];

fn connect(podseal: &Podseal) -> TcpStream {
    let address = podseal.url.strip_prefix("https://").expect("a URL");
    let stream = TcpStream::connect(address).expect("podseal listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream
}

#[test]
fn answers_a_body_that_is_not_a_review_with_what_is_wrong() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let good = review("u", "ci", &job());
    let but = |at: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(at).expect("a place") = value;
        changed.to_string()
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let twice = good
        .to_string()
        .replacen("\"uid\":\"u\"", "\"uid\":\"u\",\"uid\":\"v\"", 1);
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "EOF"),
        ("not json".to_owned(), "expected"),
        (
            "[]".to_owned(),
            "no AdmissionReview: invalid type: sequence, expected an object",
        ),
        (deep, "no AdmissionReview"),
        (good.to_string()[..500].to_owned(), "EOF"),
        (twice, "duplicate field `uid`"),
        (
            but("/apiVersion", json!("admission.k8s.io/v1beta1")),
            "podseal answers admission.k8s.io/v1",
        ),
        (
            but("/kind", json!("Pod")),
            "podseal answers admission.k8s.io/v1",
        ),
        (but("/request", Value::Null), "no request"),
        (but("/request/uid", json!("")), "no request.uid"),
        (but("/request/operation", json!("")), "no request.operation"),
        (but("/request/namespace", json!("")), "no request.namespace"),
        (
            but("/request/namespace", json!("ci?x=1")),
            "not a valid namespace name",
        ),
        (
            but("/request/namespace", json!("ci/../../pods")),
            "not a valid namespace name",
        ),
        (
            but("/request/uid", json!("u".repeat(1000))),
            "longer than 128 bytes",
        ),
        (
            but("/request/object/spec/containers", json!("x")),
            "invalid type",
        ),
        (
            but("/request/object/spec/containers/0/name", json!(7)),
            "invalid type",
        ),
    ];
    for (body, expected) in cases {
        let shown: String = body.chars().take(80).collect();
        let (code, answer) = post(&podseal, body);
        assert_eq!(code, 400, "{shown}: {answer}");
        assert!(answer.contains(expected), "{shown}: {answer}");
        assert!(
            answer.len() < 600 && answer.trim_end().lines().count() == 1,
            "{answer}"
        );
    }
    let (code, answer) = post(&podseal, vec![0xff, 0xfe, 0x00]);
    assert_eq!((code, answer.contains("UTF-8")), (400, true), "{answer}");
    // And it goes on.
    assert_eq!(self::answer(&podseal, &good)["allowed"], true);
}

#[test]
fn json_nested_deeper_than_any_pod_does_not_crash_it() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let mut body = review("u", "ci", &job()).to_string();
    let nested = format!(
        "\"metadata\":{{\"x\":{}{},",
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    body = body.replacen("\"metadata\":{", &nested, 1);
    let (code, text) = post(&podseal, body);
    assert!(
        code == 200 || code == 400,
        "{code} {}",
        &text[..text.len().min(200)]
    );
    assert_eq!(
        answer(&podseal, &review("v", "ci", &job()))["allowed"],
        true
    );
}

#[test]
fn a_body_over_7_mib_is_rejected_with_413() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let mut pod = job();
    pod["spec"]["filler"] = "x".repeat(6 * 1024 * 1024).into();
    assert_eq!(
        answer(&podseal, &review("u", "ci", &pod))["allowed"],
        true,
        "6 MiB is read"
    );
    pod["spec"]["filler"] = "x".repeat(7 * 1024 * 1024).into();
    let (code, body) = post(&podseal, review("u", "ci", &pod).to_string());
    assert_eq!((code, body.contains("larger than")), (413, true), "{body}");
}

#[test]
fn other_paths_and_methods_get_the_right_one_in_the_response() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let client = podseal.client().build().expect("a client");
    for (method, path, code) in [
        ("GET", "/mutate", 405),
        ("POST", "/", 404),
        ("GET", "/x", 404),
    ] {
        let method = method.parse().expect("a method");
        let request = client
            .request(method, format!("{}{path}", podseal.url))
            .send();
        let response = block_on(request).expect("an answer");
        assert_eq!(response.status().as_u16(), code, "{path}");
        assert!(
            block_on(response.text()).expect("a text").contains("POST"),
            "{path}"
        );
    }
}

#[test]
fn a_pod_in_a_namespace_without_the_label_passes_with_nothing_but_its_uid() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let response = answer(&podseal, &review("u-2", "plain", &job()));
    assert_eq!(
        (&response["uid"], &response["allowed"]),
        (&json!("u-2"), &json!(true))
    );
    assert_eq!(response.get("patch"), None);
}

#[test]
fn the_namespace_in_the_pods_metadata_has_no_effect() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let mut pod = job();
    pod["metadata"]["namespace"] = "plain".into();
    let response = answer(&podseal, &review("u", "ci", &pod));
    assert_eq!(response["patchType"], "JSONPatch");
}

#[test]
fn requests_that_do_not_create_a_pod_are_not_corrected() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let good = review("u", "ci", &job());
    for (at, value) in [
        ("/request/operation", json!("UPDATE")),
        ("/request/operation", json!("DELETE")),
        ("/request/kind/kind", json!("Deployment")),
        ("/request/kind/group", json!("apps")),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(at).expect("a place") = value;
        let response = answer(&podseal, &changed);
        assert_eq!(response["allowed"], true, "{at}");
        assert_eq!(response.get("patch"), None, "{at}");
    }
    let mut sub = good;
    sub["request"]["subResource"] = "ephemeralcontainers".into();
    assert_eq!(answer(&podseal, &sub).get("patch"), None);
}

#[test]
fn a_pod_in_an_unknown_namespace_is_denied_with_503_and_a_time_to_retry() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let response = answer(&podseal, &review("u-3", "elsewhere", &job()));
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(503), &json!("ServiceUnavailable"))
    );
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    let message = status["message"].as_str().expect("a message");
    assert!(
        message.contains("namespace \"elsewhere\"") && message.contains("\"u-3\""),
        "{message}"
    );
}

#[test]
fn without_its_api_server_podseal_denies_rather_than_guesses() {
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    let closed = "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
        clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {token: x}}]\n";
    std::fs::write(kubeconfig.path(), closed).expect("a kubeconfig");
    let podseal = Podseal::start(|command| {
        command.env("KUBECONFIG", kubeconfig.path());
    });
    let status = answer(&podseal, &review("u", "ci", &job()))["status"].clone();
    assert_eq!(status["code"], 503, "{status}");
    let message = status["message"].as_str().expect("a message");
    assert!(
        message.contains("the API server could not be reached"),
        "{message}"
    );
    assert!(
        !message.contains("127.0.0.1") && !message.contains("refused"),
        "{message}"
    );
}

#[test]
fn the_text_log_has_a_decision_in_one_readable_line() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(namespaces.path(), NAMESPACES).expect("the namespaces");
    let podseal = Podseal::start(|command| {
        command.args(["--log-format", "text", "--log-level", "info"]);
        command.arg("--namespaces").arg(namespaces.path());
    });
    answer(&podseal, &review("u", "ci", &job()));
    let line = podseal.await_event(|event| {
        event
            .as_str()
            .is_some_and(|line| line.contains(" mutate mutate ci/runner-"))
    });
    let line = line.as_str().expect("a line");
    assert!(
        line.contains("[rootless, baseline, enforce] corrected to match the profile: "),
        "{line}"
    );
    assert!(!line.contains('\u{1b}'), "no colour in a pipe: {line}");
}

#[test]
fn garbage_instead_of_tls_ends_that_connection_only() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let mut stream = connect(&podseal);
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("garbage is sent");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!text(&rest).contains("HTTP/1.1 200"));
    assert_eq!(
        answer(&podseal, &review("u", "ci", &job()))["allowed"],
        true
    );
}

/// Runs `podseal serve` to its end, which is an error.
fn fail(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .arg("serve")
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent");
    let output = support::run(command, "");
    assert_eq!(output.status.code(), Some(2));
    text(&output.stderr)
}

#[test]
fn a_certificate_that_cannot_be_served_is_reported_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    support::podseal::write_certificate(folder.path());
    let other = tempfile::tempdir().expect("a folder");
    support::podseal::write_certificate(other.path());
    let file =
        |folder: &tempfile::TempDir, name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (file(&folder, "tls.crt"), file(&folder, "tls.key"));
    let serve = |cert: &str, key: &str| {
        let listen = ["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"];
        let files = ["--tls-cert-file", cert, "--tls-private-key-file", key];
        fail(&[&listen[..], &files[..]].concat())
    };
    let missing = serve("/nonexistent/tls.crt", &key);
    assert!(
        missing.contains("cannot read --tls-cert-file /nonexistent/tls.crt: No such file"),
        "{missing}"
    );
    let no_pem = serve(&cert, "/dev/null");
    assert!(
        no_pem.contains("--tls-private-key-file /dev/null: cannot read the private key"),
        "{no_pem}"
    );
    let mismatched = serve(&cert, &file(&other, "tls.key"));
    assert!(
        mismatched.contains("cannot serve --tls-cert-file")
            && mismatched.contains("the key does not match the certificate"),
        "{mismatched}"
    );
    let no_cluster = serve(&cert, &key);
    assert!(no_cluster.contains("--namespaces FILE"), "{no_cluster}");
}
