//! The metrics as a scraper reads them, and as `docs/metrics.md` tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::podseal::Podseal;
use support::{block_on, text};

mod support;

const PAGE: &str = include_str!("../docs/metrics.md");
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

/// A family of metrics, as it is exposed or as it is documented.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

/// A review of `pod` by the API server.
fn review(namespace: &str, operation: &str, pod: &Value) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": namespace,
            "operation": operation,
            "userInfo": {"username": "system:serviceaccount:gitlab:gitlab-runner"},
            "object": pod,
        },
    })
    .to_string()
}

fn job() -> Value {
    support::pod("default-with-service")
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

fn exposed(exposition: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|line| line.split_once(' '))
        {
            let family = Family {
                kind: kind.to_owned(),
                ..Family::default()
            };
            let known = families.insert(name.to_owned(), family);
            assert_eq!(known, None, "{name} twice");
        }
    }
    for series in series(exposition) {
        let (name, _) = series.split_once('{').unwrap_or((series, ""));
        let parts = ["_bucket", "_sum", "_count"];
        let part_of = parts.iter().find_map(|part| name.strip_suffix(part));
        let is_family = families.contains_key(name);
        let name = part_of.filter(|_| !is_family).unwrap_or(name);
        let family = families.get_mut(name).expect("a family with a type");
        let names = labels(series).into_iter().map(|(name, _)| name.to_owned());
        family.labels.extend(names.filter(|name| name != "le"));
    }
    families
}

fn documented() -> BTreeMap<String, Family> {
    let rows = PAGE
        .lines()
        .filter(|line| line.starts_with("| `podseal_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, unit, labels, question] = &cells[..] else {
            panic!("five cells: {row}");
        };
        assert!(!unit.is_empty() && question.ends_with('?'), "{row}");
        let labels = labels.split(", ").filter(|label| *label != "–");
        let family = Family {
            kind: (*kind).to_owned(),
            labels: labels
                .map(|label| label.trim_matches('`').to_owned())
                .collect(),
        };
        (name.trim_matches('`').to_owned(), family)
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
fn the_page_lists_every_metric_with_its_type_and_labels_and_every_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, exposition) = scrape(&complete(folder.path()), PLAIN);
    let (exposed, documented) = (exposed(&exposition), documented());
    assert_eq!(exposed, documented);
    for (name, value) in series(&exposition).into_iter().flat_map(labels) {
        let is_open = ["control", "profile", "le", "version", "commit"].contains(&name);
        let told = format!("`{value}`");
        assert!(is_open || PAGE.contains(&told), "{name}: {value}");
    }
    // The queries ask for what there is.
    let all = series(&exposition);
    let names: BTreeSet<_> = all
        .iter()
        .map(|series| series.split('{').next().expect("a name"))
        .collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in PAGE.split(|c| !is_word(c)) {
        let is_metric = word.starts_with("podseal_") || word.starts_with("process_");
        let is_known = names.contains(word) || documented.contains_key(word);
        assert!(!is_metric || is_known, "{word}");
    }
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

#[test]
fn each_request_is_counted_as_what_became_of_it() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let mut privileged = job();
    privileged["metadata"]["labels"] = json!({});
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    privileged["spec"]["hostNetwork"] = true.into();
    send(
        &podseal,
        [
            post("/mutate", review("ci", "CREATE", &job())),
            post("/validate", review("ci", "CREATE", &privileged)),
            post("/validate", review("warns", "CREATE", &privileged)),
            post("/validate", review("plain", "CREATE", &privileged)),
            post("/validate", review("ci", "UPDATE", &job())),
            post("/validate", review("nowhere", "CREATE", &job())),
            post("/mutate", review("plain", "DELETE", &Value::Null)),
            post("/mutate", "{".to_owned()),
            post("/mutate", "x".repeat(8 << 20)),
            post("/elsewhere", String::new()),
            ("PUT".to_owned(), "/mutate".to_owned(), String::new()),
        ],
    );
    let expected = [
        (
            r#"requests_total{webhook="mutate",operation="CREATE",decision="mutate",mode="enforce"}"#,
            1.0,
        ),
        // One is of a namespace that nobody knows.
        (
            r#"requests_total{webhook="validate",operation="CREATE",decision="deny",mode="enforce"}"#,
            2.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="CREATE",decision="deny",mode="warn"}"#,
            1.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="CREATE",decision="allow",mode="enforce"}"#,
            1.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="UPDATE",decision="allow",mode="enforce"}"#,
            1.0,
        ),
        (
            r#"requests_total{webhook="validate",operation="UPDATE",decision="deny",mode="enforce"}"#,
            0.0,
        ),
        (
            r#"requests_total{webhook="mutate",operation="OTHER",decision="allow",mode="enforce"}"#,
            1.0,
        ),
        (r#"request_duration_seconds_count{webhook="mutate"}"#, 2.0),
        (r#"request_duration_seconds_count{webhook="validate"}"#, 5.0),
        (
            r#"request_duration_seconds_bucket{le="+Inf",webhook="validate"}"#,
            5.0,
        ),
        (
            r#"violations_total{control="privileged",level="restricted"}"#,
            0.0,
        ),
        (
            r#"violations_total{control="hostNamespaces",level="baseline"}"#,
            2.0,
        ),
        (r#"changes_total{profile="none"}"#, 0.0),
        (r#"refused_requests_total{reason="malformed"}"#, 1.0),
        (r#"refused_requests_total{reason="too_large"}"#, 1.0),
        (r#"refused_requests_total{reason="path"}"#, 1.0),
        (r#"refused_requests_total{reason="method"}"#, 1.0),
        ("requests_in_flight", 0.0),
    ];
    for (series, value) in expected {
        let series = format!("podseal_{series}");
        assert_eq!(podseal.metric(&series), Some(value), "{series}");
    }
    let changes = podseal.metric("podseal_changes_total{profile=\"rootless\"}");
    let record = podseal.await_event(|event| event["decision"] == "mutate");
    assert_eq!(changes, record["change_count"].as_f64());
    let violated =
        podseal.metric("podseal_violations_total{control=\"privileged\",level=\"baseline\"}");
    assert_eq!(violated, Some(2.0), "one enforced, one warned of");
    let sum = podseal.metric("podseal_request_duration_seconds_sum{webhook=\"validate\"}");
    assert!(sum.is_some_and(|sum| sum > 0.0 && sum < 60.0), "{sum:?}");
}

#[test]
fn the_figures_of_the_process_are_its_own() {
    let podseal = Podseal::for_namespaces(NAMESPACES);
    let proc = format!("/proc/{}", podseal.process.pid);
    let status = std::fs::read_to_string(format!("{proc}/status")).expect("its status");
    let kib = |key: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|line| line.trim().strip_suffix(" kB"));
        value.and_then(|value| value.parse().ok()).expect("KiB")
    };
    let figure = |name: &str| podseal.metric(name).expect(name);
    let resident = figure("process_resident_memory_bytes") / 1024.0 / kib("VmRSS:");
    assert!((0.5..2.0).contains(&resident), "{resident}");
    let virtual_ = figure("process_virtual_memory_bytes") / 1024.0 / kib("VmSize:");
    assert!((0.5..2.0).contains(&virtual_), "{virtual_}");
    assert!(figure("process_open_fds") >= 5.0);
    assert!(figure("process_max_fds") >= figure("process_open_fds"));
    assert!(figure("process_cpu_seconds_total") < 60.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age = now.expect("after 1970").as_secs_f64() - figure("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "{age}");
}
