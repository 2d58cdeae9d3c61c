//! What an attacker tried of the entries that default rules have: scratch, of which
//! `an_entry_goes_when_its_rule_goes` is a good test as it is.

use serde_json::{Value, json};

use crate::release::{CONFIGURATIONS, Release, Values};
use crate::support::controlplane::await_condition;

impl Release {
    fn entries(&self, kind: &str) -> Vec<String> {
        let configuration = self.configuration(kind).expect("it is there");
        let webhooks = configuration["webhooks"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        webhooks
            .iter()
            .map(|w| w["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

fn rules() -> Value {
    json!({"defaults": [
        {"name": "jobs", "namespaces": {"prefix": "ci-job-"}, "profile": "rootless"},
        {"name": "paid", "namespaces": {"matchLabels": {"team": "payments"}}, "profile": "rootless"},
    ]})
}

#[test]
fn an_entry_goes_when_its_rule_goes() {
    let file = Values::new(&rules());
    let release = Release::new("entries");
    release.install(&[&file.arg()]);
    release.await_corrections();
    let is_whole = || release.ca_bundles().iter().all(|b| !b.is_empty());
    await_condition("all are trusted", is_whole, String::new);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 3, "{kind}");
    }
    let mut values = rules();
    values["defaults"][1]["namespaces"]["matchLabels"] = json!({"team": "sales"});
    file.write(&values);
    release.upgrade(&[&file.arg()]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 3, "{kind}");
    }
    values["defaults"].as_array_mut().expect("rules").pop();
    file.write(&values);
    release.upgrade(&[&file.arg()]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 2, "{kind}");
    }
    file.write(&json!({"defaults": []}));
    release.upgrade(&[&file.arg()]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 1, "{kind}");
    }
    release.rollback("1", &[]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 3, "{kind}");
    }
    release.node().check();
}

#[test]
fn a_new_rule_denies_no_job_that_a_replica_of_before_was_asked_to_correct() {
    let file = Values::new(&json!({"defaults": []}));
    let release = Release::new("newrule");
    release.create_namespace("ci-job-9", &json!({}));
    release.create_namespace("paid-9", &json!({"team": "payments"}));
    release.install(&[&file.arg()]);
    release.await_corrections();
    for namespace in ["ci-job-9", "paid-9"] {
        file.write(&json!({"defaults": []}));
        release.upgrade(&[&file.arg()]);
        let fared = release.under_traffic_in(namespace, || {
            file.write(&rules());
            release.upgrade(&[&file.arg()]);
        });
        println!(
            "{namespace}: corrected {} untouched {} refused {}",
            fared.corrected,
            fared.untouched,
            fared.refused.len()
        );
        let mut kinds = std::collections::BTreeMap::<String, usize>::new();
        for told in &fared.refused {
            *kinds.entry(told.chars().take(230).collect()).or_default() += 1;
        }
        println!("ADDED {kinds:#?}");
        // An entry without a caBundle is another matter: some milliseconds.
        assert!(
            !kinds.keys().any(|told| told.starts_with("403")),
            "{kinds:#?}"
        );
        let fared = release.under_traffic_in(namespace, || {
            file.write(&json!({"defaults": []}));
            release.upgrade(&[&file.arg()]);
        });
        println!(
            "{namespace}: corrected {} untouched {} refused {}",
            fared.corrected,
            fared.untouched,
            fared.refused.len()
        );
        println!(
            "REMOVED {:#?}",
            fared.refused.iter().take(3).collect::<Vec<_>>()
        );
    }
    release.node().check();
}

#[test]
fn a_short_prefix_reaches_the_namespaces_that_nodes_need() {
    let release = Release::new("short");
    for namespace in ["calico-system", "cilium", "cert-manager"] {
        release.create_namespace(
            namespace,
            &json!({"pod-security.kubernetes.io/enforce": "privileged"}),
        );
    }
    let file = Values::new(&json!({"defaults": [
        {"name": "c", "namespaces": {"prefix": "c"}, "profile": "rootless"}]}));
    let args = [
        "template",
        &release.name,
        crate::helm::CHART,
        "-n",
        &release.namespace,
        &file.arg(),
        "-s",
        "templates/webhooks.yaml",
    ];
    let manifests = crate::helm::helm_prints(&release.plane, &args);
    // Nothing serves, as after a power failure.
    release
        .plane
        .apply(crate::support::controlplane::ADMIN, &manifests);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node-agent"},
        "spec": {"containers": [{"name": "x", "image": "x"}]}});
    for namespace in ["calico-system", "cilium", "cert-manager"] {
        let mut said = String::new();
        let is_refused = || {
            let (_, answer) = release.plane.try_pod(namespace, &pod);
            said = answer["message"].as_str().unwrap_or_default().to_owned();
            said.contains("failed calling webhook")
        };
        await_condition("called", is_refused, String::new);
        println!("{namespace}: {said}");
    }
}
