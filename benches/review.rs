//! How long a review takes, from the request's bytes to the response's.
//!
//! Beside it stands what reading the same bytes into a `serde_json::Value`
//! costs, which is where a webhook that kept the whole pod would begin.

// `criterion_group!` makes a public function without documentation.
#![allow(missing_docs, reason = "criterion's macros write no documentation")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use podseal::admission::policy::{Namespace, PROFILE, Settings};
use podseal::admission::request::Request;
use podseal::admission::review::{Decision, correct};
use podseal::webhook::response::encode;
use serde_json::Value;

#[path = "../tests/support/answer.rs"]
mod answer;

use answer::{fixture, review_of};

const PODS: [&str; 4] = [
    "default-with-service",
    "privileged-nonroot",
    "privileged-with-service",
    "root-fuse",
];

fn decide<'a>(body: &'a [u8], namespace: &'a Namespace) -> Decision<'a> {
    let request = Request::from_review(body).expect("the API server sends a review");
    correct(request, namespace, &Settings::built_in())
}

fn respond(body: &[u8], namespace: &Namespace) -> Vec<u8> {
    encode(answer::UID, &decide(body, namespace))
}

fn reviews(criterion: &mut Criterion) {
    let namespace = Namespace::new(
        "gitlab-ci",
        [(PROFILE.to_owned(), "rootless".to_owned())],
        [],
    );
    let bodies = PODS.map(|pod| (pod, review_of(&fixture(pod)).to_string()));

    let mut group = criterion.benchmark_group("decide");
    for (pod, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(pod), body, |bencher, body| {
            bencher.iter(|| decide(black_box(body.as_bytes()), &namespace));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("decide and encode");
    for (pod, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(pod), body, |bencher, body| {
            bencher.iter(|| respond(black_box(body.as_bytes()), &namespace));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("read into a Value");
    for (pod, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(pod), body, |bencher, body| {
            bencher.iter(|| serde_json::from_slice::<Value>(black_box(body.as_bytes())));
        });
    }
    group.finish();
}

fn quick() -> Criterion {
    let criterion = Criterion::default().warm_up_time(Duration::from_millis(500));
    criterion
        .measurement_time(Duration::from_secs(2))
        .without_plots()
}

criterion_group!(name = benches; config = quick(); targets = reviews);
criterion_main!(benches);
