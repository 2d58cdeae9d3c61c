//! podseal is away: what that holds up, and what it never does.

use serde_json::{Value, json};
use support::controlplane::await_condition;

use crate::release::{Attempt, Release, Values};

impl Release {
    fn scale(&self, replicas: usize) {
        let (deployment, replicas) = (
            format!("deployment/{}", self.name),
            format!("--replicas={replicas}"),
        );
        self.kubectl(&["scale", &deployment, &replicas, "-n", &self.namespace]);
    }
}

/// A rule for every name there can be but those that begin with a `c`, and one
/// for a label, whatever the name.
fn rules() -> Value {
    let first = ('a'..='z').chain('0'..='9').filter(|letter| *letter != 'c');
    let by_name = first.map(|letter| {
        json!({"name": format!("names-{letter}"), "namespaces": {"prefix": letter.to_string()},
            "profile": "rootless"})
    });
    let by_label = json!({"name": "labels", "namespaces": {"matchLabels": {"ci": "true"}},
        "profile": "rootless"});
    by_name.chain([by_label]).collect()
}

#[test]
fn the_cluster_s_own_namespaces_never_wait_for_podseal_whatever_their_labels() {
    let file = Values::new(&json!({"namespaceRules": rules()}));
    let excluded = "--set=webhooks.excludedNamespaces={vital}";
    let release = Release::installed("never", &[excluded, &file.arg()]);
    let made = ["kube-foo", "openshift-foo", "vital"];
    let asks = json!({"ci": "true"});
    for namespace in made {
        release.create_namespace(namespace, &asks);
    }
    // Such as a network plugin's: no rule is for it.
    release.create_namespace("calico-system", &json!({}));
    release.create_namespace("cx", &asks);
    let own = release.namespace.as_str();
    let given = [
        "kube-system",
        "kube-public",
        "kube-node-lease",
        own,
        "default",
    ];
    let label = |label: &str| {
        for namespace in made.iter().chain(&given) {
            release.kubectl(&["label", "namespace", namespace, label]);
        }
    };
    label("ci=true");
    release.scale(0);
    let said = release.await_outage();
    assert!(said.contains(".podseal.io"), "{said}");
    // The API server has seen all of it when the namespace labelled last is held up
    // by the webhook that is for its labels.
    let is_held_up_by = |namespace: &str, webhook: &str| {
        let webhook = format!("failed calling webhook \"{webhook}mutate.podseal.io\"");
        let is_so = || match release.try_job(namespace) {
            Attempt::Refused(said) => said.contains(&webhook),
            _ => false,
        };
        let told = || format!("{:?}", release.try_job(namespace));
        await_condition(&format!("{namespace}: {webhook}"), is_so, told);
    };
    let start_freely = || {
        for namespace in made.iter().chain(&given[..3]).chain(&["calico-system"]) {
            let attempt = release.try_job(namespace);
            assert_eq!(attempt, Attempt::Untouched, "{namespace}");
        }
        // Held to restricted, which is not podseal's doing.
        let Attempt::Refused(said) = release.try_job(own) else {
            panic!("a job passes in podseal's namespace");
        };
        assert!(said.contains("violates PodSecurity"), "{said}");
    };
    is_held_up_by("default", "defaults.");
    start_freely();
    label("podseal.io/profile=rootless");
    is_held_up_by("default", "");
    start_freely();
    // podseal comes back by itself: its own pods wait for nobody. Then jobs do.
    release.scale(2);
    release.await_rollout();
    release.await_corrections();
    assert_eq!(release.try_job("cx"), Attempt::Corrected);
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        release.kubectl(&[
            "label",
            "namespace",
            namespace,
            "podseal.io/profile-",
            "ci-",
        ]);
    }
    release.kubectl(&[&["delete", "namespace", "--wait=false"], &made[..]].concat());
    release.node().check();
}
