//! From the bytes of an `AdmissionReview` to what leaves podseal: the response,
//! the record, or a refusal.
//!
//! Two bytes select the namespace and podseal's settings; the rest is the body.

#![no_main]

use std::time::Duration;

use admission::decision::Decision;
use admission::decision::record;
use admission::decision::record::{About, Webhook};
use admission::mutate::{correction_size, mutate};
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, MODE, Namespace, PROFILE, RUNNER};
use admission::request::Request;
use admission::request::size::Size;
use admission::response;
use admission::text::{SHOWN, bounded};
use admission::validate::validate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cases::job_log::{LONGEST_WARNING, strange, unfit};
use json_patch::Patch;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use serde_json::Value;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A record's line with its end is no longer.
const LINE: usize = 16 * 1024;
/// The annotations of one decision for the API server's audit log.
const ANNOTATIONS: usize = 8 * 1024;

const PROFILES: [Option<&str>; 9] = [
    Some("rootless"),
    Some("userns"),
    Some("root"),
    Some("root-fuse"),
    Some("openshift"),
    Some("privileged"),
    Some("none"),
    Some("rootles\n"),
    None,
];
const LEVELS: [Option<&str>; 5] = [
    None,
    Some("baseline"),
    Some("restricted"),
    Some("privileged"),
    Some("Restricted"),
];
const MODES: [Option<&str>; 4] = [None, Some("warn"), Some("audit"), Some("enforced")];
const RUNNERS: [Option<&str>; 4] = [
    None,
    Some("system:serviceaccount:gitlab:gitlab-runner"),
    Some(" ,"),
    Some("somebody else, a:b"),
];

fn namespace(name: &str, place: u8, rules: u8) -> Namespace {
    let (place, rules) = (usize::from(place), usize::from(rules));
    let labels = [
        (PROFILE, PROFILES[place % 9]),
        (LEVEL, LEVELS[place / 8 % 5]),
        (MODE, MODES[rules % 4]),
    ];
    let runner = [(RUNNER, RUNNERS[rules / 4 % 4])];
    let there = |(key, value): (&str, Option<&str>)| Some((key.to_owned(), value?.to_owned()));
    Namespace::new(
        name,
        labels.into_iter().filter_map(there),
        runner.into_iter().filter_map(there),
    )
}

const TIME: &str = "2026-11-29T00:00:00Z";

fuzz_target!(|bytes: &[u8]| {
    let [place, rules, body @ ..] = bytes else {
        return;
    };
    let mut room = String::new();
    let read = Request::of_size(body, Size::of(body), Some(&mut room));
    let request = match (read, Request::from_review(body)) {
        (Ok(request), Ok(parsed)) => {
            // However the variables of containers were read.
            assert_eq!(format!("{request:?}"), format!("{parsed:?}"));
            request
        }
        (Err(error), Err(parsed)) => {
            let error = error.to_string();
            assert_eq!(error, parsed.to_string());
            return is_fit_to_show(&bounded(&error));
        }
        (read, parsed) => panic!("{read:?} is not {parsed:?}"),
    };
    let name = request.namespace.as_deref().unwrap_or_default();
    let namespace = namespace(name, *place, *rules);
    let settings = Settings {
        require_runner: rules & 16 != 0,
        ..Settings::built_in()
    };
    takes_no_more_than_it_may(body, &namespace, &settings);
    let about = About::of(&request);
    let unavailable = Decision::unavailable(&request, "the API server did not answer in time");
    check(Webhook::Validate, body, &about, &unavailable);
    let corrected = mutate(request.clone(), &namespace, &settings);
    check(Webhook::Mutate, body, &about, &corrected);
    let judged = validate(request, &namespace, &settings);
    check(Webhook::Validate, body, &about, &judged);
});

/// The memory for a response is known before the body is read.
fn takes_no_more_than_it_may(body: &[u8], namespace: &Namespace, settings: &Settings<'_>) {
    for webhook in [Webhook::Mutate, Webhook::Validate] {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let size = Size::of(body);
        let mut room = String::new();
        let Ok(request) = Request::of_size(body, size, Some(&mut room)) else {
            return;
        };
        let allowed = size.bytes + correction_size(&request, settings);
        let about = About::of(&request);
        let decision = match webhook {
            Webhook::Mutate => mutate(request, namespace, settings),
            Webhook::Validate => validate(request, namespace, settings),
        };
        let answer = response::encode(about.uid(), &decision);
        let line = record::line(webhook, &about, &decision, TIME, Duration::ZERO);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(taken <= allowed, "{taken} bytes, allowed are {allowed}");
        assert!(!answer.is_empty() && !line.is_empty());
    }
}

fn check(webhook: Webhook, body: &[u8], about: &About, decision: &Decision<'_>) {
    check_response(body, &response::encode(about.uid(), decision));
    check_record(&record::line(
        webhook,
        about,
        decision,
        TIME,
        Duration::from_millis(1),
    ));
}

fn check_response(body: &[u8], answer: &[u8]) {
    let answer: Value = serde_json::from_slice(answer).expect("the answer is JSON");
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    // Another reader's view of the body; podseal skips what it does not read,
    // and takes numbers there that no reader could hold.
    if let Ok(asked) = serde_json::from_slice::<Value>(body) {
        assert_eq!(response["uid"], asked["request"]["uid"]);
    }
    let warnings = response["warnings"].as_array();
    let warnings: Vec<_> = warnings.into_iter().flatten().collect();
    for warning in &warnings {
        let warning = warning.as_str().expect("a warning is a string");
        assert_eq!(strange(warning), None, "{warning}");
        let length = warning.chars().count();
        assert!(length <= LONGEST_WARNING, "{length}: {warning}");
    }
    if response["allowed"] == true {
        assert_eq!(response["status"], Value::Null);
    } else {
        assert_eq!(response["allowed"], false);
        assert_eq!(response["patch"], Value::Null);
        assert!(
            warnings.is_empty(),
            "a denial is complete by itself: {warnings:?}"
        );
        check_status(&response["status"]);
    }
    if let Some(patch) = response["patch"].as_str() {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD.decode(patch).expect("a patch is base64");
        let patch: Patch = serde_json::from_slice(&patch).expect("a patch is one");
        assert!(!patch.0.is_empty());
    }
    let annotations = response["auditAnnotations"].as_object();
    let annotations = annotations.expect("every answer has them");
    let mut size = 0;
    for (key, value) in annotations {
        let value = value.as_str().expect("an annotation is a string");
        assert_eq!(strange(value), None, "{key}: {value}");
        size += value.len();
    }
    assert!(size < ANNOTATIONS, "{size} bytes of annotations");
}

fn check_status(status: &Value) {
    assert_eq!(status["status"], "Failure");
    let message = status["message"].as_str().expect("a denial has a message");
    assert_eq!(unfit(message), None, "{message}");
    match status["code"].as_u64() {
        // Only what an outage caused is tried again.
        Some(503) => assert_eq!(status["details"]["retryAfterSeconds"], 1),
        code => {
            assert_eq!(code, Some(403));
            assert_eq!(status["details"], Value::Null);
        }
    }
}

fn check_record(line: &str) {
    assert!(line.len() < LINE, "{} bytes", line.len());
    assert_eq!(strange(line), None, "{line}");
    let record: Value = serde_json::from_str(line).expect("a record is JSON");
    assert_eq!(record["schema"], record::SCHEMA);
    for (list, count) in [
        ("violations", "violation_count"),
        ("changes", "change_count"),
        ("groups", "group_count"),
    ] {
        let listed = record[list].as_array().expect("a list").len() as u64;
        let count = record[count].as_u64().expect("a count");
        assert!(listed <= count, "{listed} of {count} {list}");
    }
}

fn is_fit_to_show(error: &str) {
    assert_eq!(strange(error), None, "{error}");
    assert!(error.len() <= 2 * SHOWN, "{} bytes: {error}", error.len());
}
