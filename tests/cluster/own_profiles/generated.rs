//! Any profile that is accepted, on any job's pod: a pod that the API server
//! accepts, or a denial with the reason.

use cases::pods::job_pod;
use cases::profiles;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::own_profiles::CLUSTER;

/// Pods for each profile.
const PODS: usize = 8;

/// Annotations of a namespace, some of which the profile does not support.
fn settings() -> impl Strategy<Value = Value> {
    let user = prop::sample::select(vec!["1", "1000", "65535"]);
    let home = prop::sample::select(vec!["/work/home", "/builds", "/home/x"]);
    let size = prop::sample::select(vec!["1Gi", "20000000000"]);
    let fuse = prop::sample::select(vec!["github.com/fuse", "a.test/device", "b.test/fuse"]);
    let maybe = |value| prop::option::weighted(0.2, value);
    (maybe(user), maybe(home), maybe(size), maybe(fuse)).prop_map(|(user, home, size, fuse)| {
        let settings = [
            ("run-as-user", user),
            ("home", home),
            ("home-size", size),
            ("fuse-resource", fuse),
        ];
        let annotations = settings
            .into_iter()
            .filter_map(|(key, value)| Some((format!("podseal.io/{key}"), value?.into())));
        Value::Object(annotations.collect())
    })
}

#[test]
fn the_api_server_accepts_a_pod_that_a_valid_profile_corrects_or_podseal_denies_it() {
    let plain = CLUSTER.namespace(None, "");
    let mut runner = TestRunner::default();
    let strategy = job_pod();
    let settings = settings();
    let (mut corrected, mut denied) = (0, 0);
    // Most of them unjudged, since few generated profiles stay within a level.
    let [free, baseline, restricted] = ["privileged", "baseline", "restricted"];
    let levels = [free, free, baseline, free, free, restricted];
    for (profile, level) in CLUSTER.generated.iter().zip(levels.into_iter().cycle()) {
        let settings = settings.new_tree(&mut runner).expect("settings").current();
        let namespace = CLUSTER.namespace_with(Some(profile), level, &settings);
        let mut tried = 0;
        while tried < PODS {
            let tree = strategy.new_tree(&mut runner).expect("a pod");
            let pod = crate::own_profiles::without_namespace(tree.current());
            if CLUSTER.plane.try_pod(&plain, &pod).0 != 201 {
                continue;
            }
            tried += 1;
            let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
            if code == 201 {
                corrected += 1;
                continue;
            }
            denied += 1;
            let message = answer["message"].as_str().unwrap_or_default();
            let is_ours = ["mutate", "validate"].into_iter().any(|webhook| {
                let ours =
                    format!("admission webhook \"{webhook}.podseal.io\" denied the request: ");
                message.starts_with(&ours) && message.contains("to fix this, ")
            });
            let text =
                std::fs::read_to_string(CLUSTER.folder.path().join(format!("{profile}.yaml")));
            // podseal never takes its own correction for a later
            // change.
            assert!(
                is_ours && !message.contains("lacks what its profile sets"),
                "{message}\n{}\n{pod}",
                text.expect("the profile is there"),
            );
        }
    }
    println!("{corrected} corrected, {denied} denied");
    let enough = profiles::PROFILES * PODS / 4;
    assert!(
        corrected > enough && denied > 0,
        "{corrected} corrected, {denied} denied"
    );
}
