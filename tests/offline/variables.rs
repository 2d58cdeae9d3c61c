//! Reviews are read as the parser reads them, although the webhooks set the variables of
//! containers aside before they parse the rest.

use std::fmt::Display;

use admission::request::Request;
use admission::request::size::Size;
use cases::anything::{any_json, replace, size};
use cases::costly::attacks;
use cases::fixture;
use cases::pods::{job_pod, odd_job_pod};
use cases::review::{job_review, review_of};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What a change puts into a review: what JSON and lists of variables are made of.
const PIECES: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\",
    "\\u0041",
    "\\ud800",
    "\n",
    "é",
    "null",
    "7",
    "\"env\":[{",
    "{\"name\":\"",
    "\",\"value\":\"",
    "\"},{\"name\":\"",
    "\"}]",
    "podseal.io/variables#0",
];

fn shown(request: Result<Request<'_>, impl Display>) -> String {
    match request {
        Ok(request) => format!("{request:?}"),
        Err(error) => error.to_string(),
    }
}

/// What a webhook reads, which is what the parser reads from the whole body.
fn read(body: &[u8]) -> String {
    let mut room = String::new();
    let read = shown(Request::of_size(body, Size::of(body), Some(&mut room)));
    let parsed = shown(Request::from_review(body));
    assert_eq!(read, parsed, "{}", String::from_utf8_lossy(body));
    read
}

#[test]
fn the_variables_of_a_job_are_set_aside_and_nothing_else_is() {
    let body = job_review("u", "ci");
    let mut room = String::new();
    let size = Size::of(body.as_bytes());
    Request::of_size(body.as_bytes(), size, Some(&mut room)).expect("a review");
    let names = |text: &str| text.matches(r#"{"name":"#).count();
    assert!(room.len() < body.len() / 2 && names(&body) > 180 && names(&room) < 20);
    for kept in [
        r#""privileged":"#,
        r#""volumeMounts":"#,
        "job.runner.gitlab.com/pod",
    ] {
        assert_eq!(body.matches(kept).count(), room.matches(kept).count());
    }
    read(body.as_bytes());
}

#[test]
fn attacks_are_read_as_the_parser_reads_them() {
    for (_, body) in [1, 20].into_iter().flat_map(attacks) {
        read(body.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_pod_is_read_as_the_parser_reads_it(
        pod in prop_oneof![job_pod(), odd_job_pod()],
        at in any::<Index>(),
        new in any_json(),
    ) {
        read(review_of(&pod).to_string().as_bytes());
        let mut changed = pod;
        let steps = at.index(size(&changed));
        replace(&mut changed, steps, &new);
        read(review_of(&changed).to_string().as_bytes());
    }

    #[test]
    fn a_review_that_is_changed_anywhere_is_read_as_the_parser_reads_it(
        pod in select(vec!["default-with-service", "honor-entrypoint"]),
        changes in vec((any::<Index>(), 0..12_usize, select(&PIECES[..])), 1..4),
    ) {
        let mut body = review_of(&fixture(pod)).to_string().into_bytes();
        for (at, length, piece) in changes {
            let at = at.index(body.len());
            let end = (at + length).min(body.len());
            body.splice(at..end, piece.bytes());
        }
        read(&body);
    }
}
