//! podseal is away: what that holds up, and what it never does.

use serde_json::json;

use crate::release::{Attempt, Release};
use crate::support::controlplane::await_condition;

impl Release {
    fn scale(&self, replicas: usize) {
        let (deployment, replicas) = (
            format!("deployment/{}", self.name),
            format!("--replicas={replicas}"),
        );
        self.kubectl(&["scale", &deployment, &replicas, "-n", &self.namespace]);
    }
}

#[test]
fn the_cluster_s_own_namespaces_never_wait_for_podseal_whatever_their_labels() {
    let excluded = "--set=webhooks.excludedNamespaces={vital}";
    let release = Release::installed("never", &[excluded]);
    let made = ["kube-foo", "openshift-foo", "vital"];
    let opted_in = json!({"podseal.io/profile": "rootless"});
    for namespace in made {
        release.create_namespace(namespace, &opted_in);
    }
    let own = release.namespace.as_str();
    let given = [
        own,
        "kube-system",
        "kube-public",
        "kube-node-lease",
        "default",
    ];
    for namespace in given {
        release.kubectl(&[
            "label",
            "namespace",
            namespace,
            "podseal.io/profile=rootless",
        ]);
    }
    release.scale(0);
    let said = release.await_outage();
    assert!(said.contains(".podseal.io"), "{said}");
    // The API server has seen the labels: a namespace labelled last is held up.
    let is_held_up = || matches!(release.try_job("default"), Attempt::Refused(_));
    await_condition("other namespaces are held up", is_held_up, String::new);
    for namespace in made.iter().chain(&given[1..4]) {
        assert_eq!(
            release.try_job(namespace),
            Attempt::Untouched,
            "{namespace}"
        );
    }
    // podseal comes back by itself: its own pods wait for nobody.
    release.scale(2);
    release.await_rollout();
    release.await_corrections();
    for namespace in &given[1..] {
        release.kubectl(&["label", "namespace", namespace, "podseal.io/profile-"]);
    }
    release.kubectl(&[&["delete", "namespace", "--wait=false"], &made[..]].concat());
    release.node().check();
}
