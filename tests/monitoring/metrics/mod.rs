//! The metrics as a scraper reads them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::podseal::Podseal;
use support::{block_on, text};

mod counts;
mod page;

const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const NAMESPACES: &str = "
{kind: Namespace, metadata: {name: ci, labels: {podseal.io/profile: rootless}}}
---
{kind: Namespace, metadata: {name: warns, labels: {podseal.io/profile: none, podseal.io/mode: warn}}}
---
{kind: Namespace, metadata: {name: odd, labels: {podseal.io/profile: nonsense, podseal.io/level: '7'}}}
---
{kind: Namespace, metadata: {name: plain}}
";

/// A review of `pod` by the API server.
fn review(namespace: &str, operation: &str, pod: &Value) -> String {
    let mut review = cases::review::review("u", namespace, pod);
    review["request"]["operation"] = operation.into();
    review.to_string()
}

fn job() -> Value {
    cases::fixture("default-with-service")
}

/// Sends each of `requests`: a method, a path and a body.
fn send(podseal: &Podseal, requests: impl IntoIterator<Item = (String, String, String)>) {
    let client = podseal.client().build().expect("a client");
    for (method, path, body) in requests {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", podseal.url);
        let answer = block_on(client.request(method, url).body(body).send());
        block_on(answer.expect("an answer").bytes()).expect("a body");
    }
}

fn post(path: &str, body: String) -> (String, String, String) {
    ("POST".to_owned(), path.to_owned(), body)
}

/// The metrics, for a scraper that says what it accepts.
fn scrape(podseal: &Podseal, accept: &str) -> (String, String) {
    let client = podseal.client().build().expect("a client");
    let get = client.get(format!("{}/metrics", podseal.status_url));
    let answer = block_on(get.header("accept", accept).send()).expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().expect("text");
    (
        kind.to_owned(),
        block_on(answer.text()).expect("the metrics"),
    )
}

/// The series of an exposition, without their values.
fn series(exposition: &str) -> BTreeSet<&str> {
    let samples = exposition.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').expect("a value").0)
        .collect()
}

/// A series' labels and their values.
fn labels(series: &str) -> Vec<(&str, &str)> {
    let Some((_, labels)) = series.split_once('{') else {
        return Vec::new();
    };
    let pairs = labels.trim_end_matches('}').split("\",");
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once("=\"").expect("a label");
            (name, value.trim_end_matches('"'))
        })
        .collect()
}

/// A podseal that has everything there are metrics of, but for a cluster.
fn complete(folder: &Path) -> Podseal {
    let ca = support::podseal::write_certificate(folder);
    let namespaces = folder.join("namespaces.yaml");
    std::fs::write(&namespaces, NAMESPACES).expect("the file can be written");
    Podseal::with_certificate(folder, ca, |command| {
        command.arg("--namespaces").arg(namespaces);
        command.arg("--client-ca").arg(folder.join("tls.crt"));
    })
}

#[test]
fn prometheus_itself_reads_both_formats_and_finds_the_same_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let podseal = complete(folder.path());
    let (plain_type, plain) = scrape(&podseal, "*/*");
    let (open_type, open) = scrape(&podseal, OPEN);
    assert_eq!((&*plain_type, &*open_type), (PLAIN, OPEN));
    let read = [(plain_type, &plain), (open_type, &open)].map(|(kind, text)| parsed(&kind, text));
    assert_eq!(read[0].lines().count(), series(&plain).len());
    assert_eq!(read[0], read[1]);
    // And the parser is one that can refuse.
    let mut broken = Command::new(parser());
    broken.arg(PLAIN);
    let output = support::run(broken, "podseal_x{a=\"b} 1\n");
    assert!(!output.status.success());
    let mut unlike = Command::new(parser());
    unlike.arg(PLAIN);
    let output = support::run(unlike, "# TYPE podseal_x counter\npodseal_x 1\n");
    assert!(text(&output.stderr).contains("podseal_x"), "the linter");
}

/// The series that Prometheus' parser finds in `exposition`.
fn parsed(content_type: &str, exposition: &str) -> String {
    let mut command = Command::new(parser());
    command.arg(content_type);
    let output = support::run(command, exposition);
    let told = text(&output.stderr);
    assert!(
        output.status.success(),
        "{content_type}: {told}\n{exposition}"
    );
    text(&output.stdout)
}

/// The program of `tests/exposition`, built once.
fn parser() -> &'static Path {
    static PROGRAM: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exposition");
        let module = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exposition");
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(&program).arg(".");
        let output = go.current_dir(module).output().unwrap_or_else(|error| {
            panic!("go does not run ({error}); Prometheus' own parser is a Go module: install Go")
        });
        assert!(output.status.success(), "{}", text(&output.stderr));
        program
    })
}

#[test]
fn whatever_is_sent_adds_no_series() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let (_, before) = scrape(&podseal, PLAIN);
    let requests = (0..3_000).map(|n| {
        let odd = format!("x{n}\"\n{{}},\\\u{202e}");
        let mut pod = job();
        pod["metadata"]["name"] = odd.clone().into();
        pod["spec"]["containers"][0]["name"] = odd.clone().into();
        pod["metadata"]["labels"][&odd] = odd.clone().into();
        let namespace = ["ci", "warns", "odd", "plain"][n % 4];
        match n % 8 {
            0 => post("/mutate", review(&format!("no-such-{n}"), "CREATE", &pod)),
            1 => post("/validate", review(namespace, &odd, &pod)),
            2 => post("/validate", review(&odd, "UPDATE", &pod)),
            3 => post(&format!("/x{n}?y={n}"), String::new()),
            4 => (format!("X{n}"), "/mutate".to_owned(), String::new()),
            5 => post("/mutate", odd),
            _ => {
                let mut body: Value =
                    serde_json::from_str(&review(namespace, "CREATE", &pod)).expect("JSON");
                body["request"]["userInfo"]["username"] = odd.clone().into();
                body["request"]["uid"] = format!("u{n}").into();
                let path = ["/mutate", "/validate"][n / 8 % 2];
                post(path, body.to_string())
            }
        }
    });
    send(&podseal, requests);
    let (_, after) = scrape(&podseal, PLAIN);
    assert_eq!(series(&before), series(&after));
    // They were counted, all of them.
    let counted = |family: &str| -> f64 {
        let samples = after.lines().filter(|line| line.starts_with(family));
        let values = samples.map(|line| line.rsplit_once(' ').expect("a value").1);
        values
            .map(|value| value.parse::<f64>().expect("a number"))
            .sum()
    };
    let all = counted("podseal_requests_total{") + counted("podseal_refused_requests_total{");
    assert_eq!(all, 3_000.0);
}
