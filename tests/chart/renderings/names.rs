//! What may never change by an upgrade, and what has to be told apart.

use std::collections::HashSet;

use serde_json::{Value, json};
use support::text;

use crate::renderings::everything::everything;
use crate::renderings::helm::{CHART, PODSEAL, Release, helm, merged, object, objects};
use crate::renderings::matrix::{MATRIX, Rendered};

/// A name as long as helm allows.
const LONG: Release = Release {
    name: "a-release-whose-name-is-as-long-as-helm-will-have-it0",
    namespace: "a-namespace-whose-name-is-as-long-as-kubernetes-will-have-it-00",
};

/// Kinds that belong to no namespace.
const CLUSTER_WIDE: [&str; 7] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "SecurityContextConstraints",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Everything that can be rendered at once, with names by the release: one for
/// each mode of certificates.
fn by_mode(patch: &Value) -> Vec<Value> {
    let named = merged(&everything(), &json!({"fullnameOverride": null}));
    let named = merged(&named, patch);
    let in_mode = |mode: &str| merged(&named, &json!({"certificates": {"mode": mode}}));
    ["self-managed", "cert-manager", "existing-secret"]
        .map(in_mode)
        .to_vec()
}

#[test]
fn nothing_is_rendered_differently_twice() {
    let own_issuer = json!({"certificates": {"certManager": {"issuerRef": null}}});
    for values in by_mode(&own_issuer) {
        assert_eq!(PODSEAL.render(&values), PODSEAL.render(&values));
    }
}

#[test]
fn no_value_changes_what_a_workload_selects_by() {
    let selectors = |objects: &[Value]| -> Vec<Value> {
        let is_workload = |object: &&Value| object["spec"]["template"].is_object();
        let workloads = objects.iter().filter(is_workload);
        workloads
            .map(|workload| workload["spec"]["selector"].clone())
            .collect()
    };
    let plain = selectors(&MATRIX[0].objects);
    for Rendered {
        values, objects, ..
    } in &*MATRIX
    {
        let selectors = selectors(objects);
        let are_kept = plain.iter().all(|plain| selectors.contains(plain));
        assert!(are_kept, "{values:#}: {selectors:?}");
    }
}

#[test]
fn what_selects_podseals_pods_finds_them() {
    for Rendered {
        values, objects, ..
    } in &*MATRIX
    {
        let template = &object(objects, "Deployment")["spec"]["template"];
        let labels = template["metadata"]["labels"].as_object().expect("labels");
        let selects = |selector: &Value| {
            let mut wanted = selector.as_object().expect("a selector").iter();
            wanted.all(|(key, value)| labels.get(key) == Some(value))
        };
        let by = |kind: &str, pointer: &str| {
            let of_kind = objects.iter().filter(|object| object["kind"] == kind);
            let selectors = of_kind.map(|object| object.pointer(pointer).expect("it selects"));
            selectors.filter(|selector| selects(selector)).count()
        };
        let is_on = |section: &str| usize::from(values[section]["enabled"] != false);
        assert_eq!(by("Service", "/spec/selector"), 1);
        assert_eq!(by("Deployment", "/spec/selector/matchLabels"), 1);
        let budgets = by("PodDisruptionBudget", "/spec/selector/matchLabels");
        assert_eq!(budgets, is_on("podDisruptionBudget"));
        let policies = by("NetworkPolicy", "/spec/podSelector/matchLabels");
        let has_policy = values["hostNetwork"] != true;
        assert_eq!(policies, is_on("networkPolicy") * usize::from(has_policy));
    }
}

#[test]
fn a_new_version_of_the_chart_alone_starts_no_new_pods() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().to_str().expect("UTF-8");
    let packaged = helm(
        &["package", CHART, "--version", "9.9.9+x", "-d", target],
        &json!({}),
    );
    assert!(packaged.status.success(), "{}", text(&packaged.stderr));
    let package = format!("{target}/podseal-9.9.9+x.tgz");
    let output = helm(
        &["template", "podseal", &package, "-n", "podseal", "-f", "-"],
        &everything(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let later = objects(&text(&output.stdout));
    let deployment = object(&later, "Deployment");
    assert_eq!(
        deployment["metadata"]["labels"]["helm.sh/chart"],
        "podseal-9.9.9_x"
    );
    let now = PODSEAL.objects(&everything());
    assert_eq!(deployment["spec"], object(&now, "Deployment")["spec"]);
}

#[test]
fn no_name_is_too_long_and_every_namespace_is_set() {
    let long = by_mode(&json!({"nameOverride": "a".repeat(48)}));
    for object in long.iter().flat_map(|values| LONG.objects(values)) {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().expect("a name");
        assert!(name.len() <= 63, "{name}");
        let is_cluster_wide = CLUSTER_WIDE.iter().any(|kind| object["kind"] == *kind);
        // `kubectl apply` puts what tells none into its user's.
        assert_eq!(
            metadata["namespace"].is_null(),
            is_cluster_wide,
            "{object:#}"
        );
        for (key, value) in metadata["labels"].as_object().expect("labels") {
            assert!(
                value.as_str().is_some_and(|value| value.len() <= 63),
                "{key}"
            );
        }
    }
}

#[test]
fn two_releases_share_no_object_and_no_pod() {
    let release = |name: &'static str| Release {
        name,
        namespace: "podseal",
    };
    // What is called by a value of its own is told apart by that.
    let scc = json!({"openshift": {"sccName": "another-scc"}});
    for values in by_mode(&json!({"serviceAccount": null})) {
        let (one, other) = (
            release("one").objects(&values),
            release("other").objects(&merged(&values, &scc)),
        );
        let names = |objects: &[Value]| -> HashSet<String> {
            let name = |object: &Value| {
                let metadata = &object["metadata"];
                format!(
                    "{} {} {}",
                    object["kind"], metadata["namespace"], metadata["name"]
                )
            };
            objects.iter().map(name).collect()
        };
        let (ones, others) = (names(&one), names(&other));
        let shared: Vec<_> = ones.intersection(&others).collect();
        assert!(shared.is_empty(), "{shared:?}");
        let selector = &object(&one, "Deployment")["spec"]["selector"];
        assert_ne!(selector, &object(&other, "Deployment")["spec"]["selector"]);
    }
}
