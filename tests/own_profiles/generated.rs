//! Any profile that is accepted, on any job's pod: a pod that the API server
//! takes, or a denial that says why.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::CLUSTER;
use crate::pods::job_pod;

/// Pods for each profile.
const PODS: usize = 8;

#[test]
fn the_api_server_takes_what_an_accepted_profile_makes_of_a_pod_or_podseal_says_why_not() {
    let plain = CLUSTER.namespace(None, "");
    let mut runner = TestRunner::default();
    let strategy = job_pod();
    let (mut corrected, mut denied) = (0, 0);
    for profile in &CLUSTER.generated {
        // Nothing is judged: what the profile may grant is another matter.
        let namespace = CLUSTER.namespace(Some(profile), "privileged");
        let mut tried = 0;
        while tried < PODS {
            let tree = strategy.new_tree(&mut runner).expect("a pod");
            let pod = crate::without_namespace(tree.current());
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
            let ours = "admission webhook \"mutate.podseal.io\" denied the request: ";
            let text =
                std::fs::read_to_string(CLUSTER.folder.path().join(format!("{profile}.yaml")));
            assert!(
                message.starts_with(ours) && message.contains("to mend it, "),
                "{message}\n{}\n{pod}",
                text.expect("the profile is there"),
            );
        }
    }
    println!("{corrected} corrected, {denied} denied");
    assert!(
        corrected > denied && denied > 0,
        "{corrected} corrected, {denied} denied"
    );
}
