//! The Pod Security Standards, compared with their reference implementation.
//!
//! `tests/podsecurity` is a small Go program around the reference's own
//! evaluator, pinned to the version podseal follows. Both are given the same
//! pods, and must find the same controls violated at each level.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use admission::pod::Pod;
use admission::standards::{Control, Level, violations};
use cases::security_pods;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use serde_json::{Value, json};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/podsecurity");
const RANDOM_PODS: usize = 6_000;

/// The IDs of the violated controls at each level.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Verdict {
    baseline: BTreeSet<String>,
    restricted: BTreeSet<String>,
}

impl Verdict {
    fn of_podseal(pod: &Value) -> Verdict {
        let json = pod.to_string();
        let pod: Pod<'_> = serde_json::from_str(&json)
            .unwrap_or_else(|error| panic!("podseal cannot read {json}: {error}"));
        let ids = |level| {
            let found = violations(&pod, level).into_iter();
            found.map(|v| v.control.id().to_owned()).collect()
        };
        Verdict {
            baseline: ids(Level::Baseline),
            restricted: ids(Level::Restricted),
        }
    }

    fn of_reference(pods: &[Value]) -> Vec<Verdict> {
        let lines: String = pods.iter().map(|pod| format!("{pod}\n")).collect();
        let verdicts: Vec<_> = reference(&[], lines)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a verdict a line"))
            .collect();
        assert_eq!(verdicts.len(), pods.len(), "a verdict for each pod");
        verdicts
    }
}

/// What the reference's program answers.
fn reference(arguments: &[&str], input: String) -> String {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("podsecurity");
        go(&["build", "-o", path.to_str().expect("a path in UTF-8"), "."]);
        path
    });
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program that was just built runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It answers while it reads, so both ends of the pipe have to move.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "the reference failed: {output:?}");
    writer.join().expect("no panic").expect("it reads all pods");
    String::from_utf8(output.stdout).expect("JSON lines")
}

fn go(arguments: &[&str]) -> String {
    let output = Command::new("go")
        .args(arguments)
        .current_dir(MODULE)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "go does not run ({error}); this test compares podseal with the reference \
                 implementation of the Pod Security Standards, which is a Go module: install Go"
            )
        });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "go {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// The pod as the API server would hand it to the reference: a volume without a
/// source is an emptyDir by then.
fn defaulted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let volumes = pod.pointer_mut("/spec/volumes");
    for volume in volumes.and_then(Value::as_array_mut).into_iter().flatten() {
        let mut fields = volume.as_object().into_iter().flatten();
        let is_source = |(key, value): (&String, &Value)| key != "name" && !value.is_null();
        if !fields.any(is_source) {
            volume["emptyDir"] = json!({});
        }
    }
    pod
}

fn differs(pod: &Value) -> bool {
    Verdict::of_reference(&[defaulted(pod)]) != [Verdict::of_podseal(pod)]
}

/// The first of `pods` that podseal and the reference disagree on.
fn first_difference(pods: &[Value]) -> Option<usize> {
    let sent: Vec<_> = pods.iter().map(defaulted).collect();
    let verdicts = Verdict::of_reference(&sent);
    (0..pods.len()).find(|&index| verdicts[index] != Verdict::of_podseal(&pods[index]))
}

fn report_difference(pod: &Value) -> ! {
    panic!(
        "podseal and the reference disagree on {pod:#}\npodseal:   {:?}\nreference: {:?}",
        Verdict::of_podseal(pod),
        Verdict::of_reference(&[defaulted(pod)])[0],
    )
}

#[derive(Deserialize)]
struct Fixture {
    name: String,
    level: String,
    valid: bool,
    pod: Value,
}

#[test]
fn the_references_own_fixtures_pass_and_fail_as_expected() {
    let module = go(&[
        "list",
        "-m",
        "-f",
        "{{.Dir}}",
        "k8s.io/pod-security-admission",
    ]);
    let lines = reference(&["-fixtures", module.trim()], String::new());
    let mut seen = 0;
    for line in lines.lines() {
        let fixture: Fixture = serde_json::from_str(line).expect("a fixture a line");
        let verdict = Verdict::of_podseal(&fixture.pod);
        let found = match &*fixture.level {
            "baseline" => verdict.baseline,
            "restricted" => verdict.restricted,
            other => panic!("{}: no level {other}", fixture.name),
        };
        if fixture.valid {
            assert_eq!(found, BTreeSet::new(), "{}", fixture.name);
        } else {
            // A fixture is called after its control, which may be one that
            // its restricted twin replaces.
            let called = Path::new(&fixture.name).file_stem().expect("a name");
            let called = called
                .to_str()
                .expect("ASCII")
                .trim_end_matches(|c: char| c.is_ascii_digit());
            let control = Control::all().find(|control| control.id().eq_ignore_ascii_case(called));
            let family = control.expect("a control").family();
            let names_it =
                |id: &String| Control::all().any(|c| c.id() == id && c.family() == family);
            assert!(found.iter().any(names_it), "{}: {found:?}", fixture.name);
        }
        seen += 1;
    }
    assert!(seen > 100, "only {seen} fixtures");
}

#[test]
fn every_violation_by_itself_is_found_as_by_the_reference() {
    let mut pods = security_pods::starts();
    for start in security_pods::starts() {
        for edit in security_pods::field_values() {
            let mut pod = start.clone();
            security_pods::set(&mut pod, &edit);
            pods.push(pod);
        }
    }
    if let Some(index) = first_difference(&pods) {
        report_difference(&pods[index]);
    }
    // The test proves nothing unless each control is violated.
    let verdicts = pods.iter().map(Verdict::of_podseal);
    let seen: BTreeSet<_> = verdicts
        .flat_map(|v| v.baseline.into_iter().chain(v.restricted))
        .collect();
    let all: BTreeSet<_> = Control::all()
        .map(|control| control.id().to_owned())
        .collect();
    assert_eq!(seen, all);
}

#[test]
fn several_violations_at_once_are_found_as_by_the_reference() {
    let mut runner = TestRunner::default();
    let strategy = security_pods::pods();
    let mut trees: Vec<_> = (0..RANDOM_PODS)
        .map(|_| strategy.new_tree(&mut runner).expect("nothing is rejected"))
        .collect();
    let pods: Vec<_> = trees.iter().map(ValueTree::current).collect();
    let Some(index) = first_difference(&pods) else {
        return;
    };
    let tree = &mut trees[index];
    let mut smallest = tree.current();
    while if differs(&tree.current()) {
        smallest = tree.current();
        tree.simplify()
    } else {
        tree.complicate()
    } {}
    report_difference(&smallest);
}
