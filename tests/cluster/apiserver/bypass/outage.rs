//! What still works while podseal is down, and what does not.

use reqwest::Method;
use serde_json::json;
use support::controlplane::{ADMIN, RUNNER, await_condition};

use super::updates::{change, path, privileged_app};
use crate::PLANE;
use crate::apiserver::{Cluster, complying_pod, set_labels};

#[test]
fn finalizers_of_a_pod_can_be_removed_even_while_podseal_is_down() {
    // A podseal of its own: that of the others keeps running.
    let cluster = Cluster::start(&PLANE, "outage");
    let namespace = cluster.namespace_with(&[("profile", "none"), ("level", "privileged")], &[]);
    for name in ["first", "second", "third"] {
        let mut pod = complying_pod(name);
        privileged_app(&mut pod);
        pod["metadata"]["finalizers"] = json!(["example.com/hold"]);
        let (code, answer) = cluster.plane.create_pod(&namespace, &pod);
        assert_eq!(code, 201, "{answer:#}");
    }
    set_labels(
        &cluster,
        &namespace,
        &[("profile", "none"), ("level", "restricted")],
    );
    let delete = |name: &str| {
        let path = format!("{}?gracePeriodSeconds=0", path(&namespace, name));
        let (code, answer) = cluster.plane.request(ADMIN, Method::DELETE, &path, None);
        assert_eq!(code, 200, "{answer:#}");
    };
    let release = |name: &str| {
        let (code, answer) = change(&cluster, (&namespace, name, ""), |pod| {
            pod["metadata"]["finalizers"] = json!([]);
        });
        assert_eq!(code, 200, "{name}: {answer:#}");
        let (code, _) = cluster
            .plane
            .request(RUNNER, Method::GET, &path(&namespace, name), None);
        assert_eq!(code, 404, "{name} is gone");
    };
    delete("first");
    release("first");
    delete("second");
    cluster.podseal.process.signal("KILL");
    let is_down = || {
        let (code, _) = cluster
            .plane
            .try_pod(&namespace, &complying_pod("while-down"));
        code == 500
    };
    await_condition("nothing is admitted without podseal", is_down, String::new);
    release("second");
    delete("third");
    release("third");
}
