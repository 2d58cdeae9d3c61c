//! Measures a review, from the request's bytes to the response's.
//!
//! For comparison, it also measures parsing the same bytes into a `serde_json::Value`,
//! which is the least a webhook would need that keeps the whole pod.

// `criterion_group!` makes a public function without documentation.
#![allow(missing_docs, reason = "criterion's macros write no documentation")]

use std::hint::black_box;
use std::time::Duration;

use admission::cautions::cautions;
use admission::decision::Decision;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::profile::{EffectiveProfile, Profiles};
use admission::request::Request;
use admission::request::size::Size;
use admission::response::encode;
use admission::validate::validate;
use cases::answer;
use cases::fixture;
use cases::review::{UID, review_of};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;

const PODS: [&str; 4] = [
    "default-with-service",
    "privileged-nonroot",
    "privileged-with-service",
    "root-fuse",
];

/// Reads a review as the webhooks do.
fn read<'a>(body: &'a [u8], room: &'a mut String) -> Request<'a> {
    let request = Request::of_size(body, Size::of(body), Some(room));
    request.expect("the API server sends a review")
}

fn decide<'a>(body: &'a [u8], room: &'a mut String, namespace: &'a Namespace) -> Decision<'a> {
    mutate(read(body, room), namespace, &Settings::built_in())
}

fn judge_body<'a>(body: &'a [u8], room: &'a mut String, namespace: &'a Namespace) -> Decision<'a> {
    validate(read(body, room), namespace, &Settings::built_in())
}

fn namespace_of(profile: &str) -> Namespace {
    Namespace::new("gitlab-ci", [(PROFILE.to_owned(), profile.to_owned())], [])
}

fn respond(body: &[u8], namespace: &Namespace) -> Vec<u8> {
    encode(UID, &decide(body, &mut String::new(), namespace))
}

fn reviews(criterion: &mut Criterion) {
    let namespace = namespace_of("rootless");
    let bodies = PODS.map(|pod| (pod, review_of(&fixture(pod)).to_string()));

    measure(criterion, "read", &bodies, |body| {
        black_box(read(body, &mut String::new()));
    });
    measure(criterion, "decide", &bodies, |body| {
        black_box(decide(body, &mut String::new(), &namespace));
    });
    measure(criterion, "decide and encode", &bodies, |body| {
        respond(body, &namespace)
    });
    // The validating webhook reviews the corrected pod.
    let corrected = PODS.map(|pod| {
        (
            pod,
            review_of(&answer::corrected(&fixture(pod), "userns")).to_string(),
        )
    });
    let judged = namespace_of("userns");
    measure(criterion, "judge", &corrected, |body| {
        black_box(judge_body(body, &mut String::new(), &judged));
    });
    // What the cautions cost of it.
    let profile = Profiles::built_in()
        .get("userns")
        .expect("a built-in profile");
    let profile = EffectiveProfile::unchanged(profile);
    let pods = corrected
        .each_ref()
        .map(|(_, body)| Request::from_review(body.as_bytes()).expect("a review"));
    let mut group = criterion.benchmark_group("cautions");
    for (name, request) in PODS.iter().zip(&pods) {
        let pod = request.object.as_ref().expect("a pod");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| black_box(cautions(black_box(pod), &profile)));
        });
    }
    group.finish();
    measure(criterion, "read into a Value", &bodies, |body| {
        serde_json::from_slice::<Value>(body)
    });
}

fn measure<'b, T>(
    criterion: &mut Criterion,
    name: &str,
    bodies: &'b [(&str, String)],
    mut run: impl FnMut(&'b [u8]) -> T,
) {
    let mut group = criterion.benchmark_group(name);
    for (pod, body) in bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(pod), |bencher| {
            bencher.iter(|| run(black_box(body.as_bytes())));
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(500));
    criterion
        .measurement_time(Duration::from_millis(1500))
        .without_plots()
}

criterion_group!(name = benches; config = quick(); targets = reviews);
criterion_main!(benches);
