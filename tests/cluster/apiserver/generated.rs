//! Generated pods, through the real API server: it never rejects a patch of
//! podseal's.

use std::cell::Cell;

use cases::pods::job_pod;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::apiserver::CLUSTER;
use crate::apiserver::shapes::decide_again;

const PROFILES: [&str; 6] = [
    "userns",
    "rootless",
    "root",
    "root-fuse",
    "openshift",
    "privileged",
];
/// Pods tried, each in every profile: some seconds, and enough that each clash
/// of `docs/profiles.md` comes up many times.
const PODS: u32 = 100;

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_default()
}

#[test]
fn a_pod_that_the_api_server_accepts_is_stored_corrected_or_denied_by_podseal_with_a_reason() {
    let plain = CLUSTER.namespace(None);
    let labelled = PROFILES.map(|profile| (profile, CLUSTER.unjudged(profile)));
    let config = Config {
        cases: PODS,
        failure_persistence: None,
        ..Config::default()
    };
    let (valid, corrected, denied) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |counter: &Cell<u32>| counter.set(counter.get() + 1);
    let mut runner = TestRunner::new(config);
    let run = runner.run(&job_pod().no_shrink(), |mut pod| {
        let metadata = pod["metadata"].as_object_mut().expect("metadata");
        metadata.remove("namespace");
        let (code, _) = CLUSTER.plane.try_pod(&plain, &pod);
        if code != 201 {
            return Ok(());
        }
        count(&valid);
        for (profile, namespace) in &labelled {
            let (code, answer) = CLUSTER.plane.try_pod(namespace, &pod);
            if code == 201 {
                count(&corrected);
                prop_assert_eq!(decide_again(&answer, profile), "", "{}: {}", profile, pod);
            } else {
                count(&denied);
                let ours = "admission webhook \"mutate.podseal.io\" denied the request: ";
                let text = message(&answer);
                prop_assert!(text.starts_with(ours), "{}: {}\n{}", profile, text, pod);
            }
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    let (valid, corrected, denied) = (valid.get(), corrected.get(), denied.get());
    println!("{valid} valid pods: {corrected} corrected, {denied} denied");
    assert!(
        valid > PODS / 2 && corrected > valid && denied > 0,
        "the generator lost its aim"
    );
}
