//! The API server calls podseal for the namespaces that podseal has a rule for, and
//! for no other: what the chart registers, against what podseal reads.

use std::collections::BTreeMap;

use admission::namespace::Namespace;
use admission::namespace::rules::NamespaceRules;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};
use support::helm::{CHART, helm_prints};
use support::text;

use crate::release::{Release, Values};

/// How many sets of rules are tried.
const SETS: usize = 12;

type Labels = BTreeMap<&'static str, &'static str>;

fn labels() -> impl Strategy<Value = Labels> {
    let value = |key, values: [&'static str; 2]| {
        let value = prop::option::of(prop::sample::select(values.to_vec()));
        value.prop_map(move |value| value.map(|value| (key, value)))
    };
    let pairs = (value("team", ["a", "b"]), value("env", ["x", ""]));
    pairs.prop_map(|(team, env)| team.into_iter().chain(env).collect())
}

/// Rules of few words, so that many are for the same namespaces.
fn rules() -> impl Strategy<Value = Vec<(Option<&'static str>, Labels)>> {
    let prefixes = [
        "c",
        "ci-",
        "ci-job-",
        "k",
        "kube",
        "o",
        "openshift",
        "called-s",
    ];
    let prefix = prop::option::of(prop::sample::select(prefixes.to_vec()));
    let says_something =
        |(prefix, labels): &(Option<_>, Labels)| prefix.is_some() || !labels.is_empty();
    let rule = (prefix, labels()).prop_filter("for every namespace", says_something);
    prop::collection::vec(rule, 0..7)
}

/// Namespaces by every name there is a prefix for and none, with all labels.
fn namespaces(release: &Release) -> Vec<(String, Value)> {
    let names = [
        "ci-job",
        "ci-job-1",
        "cx",
        "kube-x",
        "kubex",
        "openshift-x",
        "openshiftx",
        "other",
    ];
    let mut all: Vec<(String, Value)> = vec![
        (release.namespace.clone(), json!({"team": "a", "env": "x"})),
        ("kube-system".into(), json!({"team": "a", "env": ""})),
        ("default".into(), json!({})),
    ];
    for (number, name) in names.into_iter().enumerate() {
        for (kind, labels) in [
            json!({}),
            json!({"team": "a"}),
            json!({"team": "b", "env": ""}),
            json!({"env": "x", "team": "a"}),
            json!({"team": "a", "podseal.io/profile": "none"}),
        ]
        .into_iter()
        .enumerate()
        {
            all.push((format!("{name}-{number}{kind}"), labels));
        }
    }
    all
}

#[test]
fn podseal_is_called_for_the_namespaces_that_it_has_a_rule_for_and_for_no_other() {
    let release = Release::new("called");
    let namespaces = namespaces(&release);
    let objects = namespaces.iter().map(|(name, labels)| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()});
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let applied = release.plane.kubectl(ADMIN, &args, &list.to_string());
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    let file = Values::new(&json!({}));
    let args = [
        "template",
        &release.name,
        CHART,
        "-n",
        &release.namespace,
        &file.arg(),
    ];
    let mut runner = TestRunner::deterministic();
    let (mut called, mut passed) = (0, 0);
    for set in 0..SETS {
        // By which it is seen that the API server knows of these rules.
        let sentinel = format!("sentinel-{set}-");
        release.create_namespace(&format!("{sentinel}x"), &json!({}));
        let mut all = vec![
            json!({"name": "sentinel", "namespaces": {"prefix": sentinel}, "profile": "none"}),
        ];
        let rules = rules().new_tree(&mut runner).expect("rules").current();
        all.extend(rules.iter().enumerate().map(|(number, (prefix, labels))| {
            let mut namespaces = json!({});
            if let Some(prefix) = prefix {
                namespaces["prefix"] = (*prefix).into();
            }
            if !labels.is_empty() {
                namespaces["matchLabels"] = json!(labels);
            }
            json!({"name": format!("r{number}"), "namespaces": namespaces, "profile": "none"})
        }));
        file.write(&json!({"namespaceRules": all}));
        let manifests = helm_prints(&release.plane, &args);
        let objects: Vec<Value> = serde_saphyr::from_multiple(&manifests).expect("YAML");
        let of_kind =
            |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
        // Nothing serves: whoever is called, is refused.
        for configuration in of_kind("ValidatingWebhookConfiguration") {
            release.plane.apply(ADMIN, &configuration.to_string());
        }
        let written = of_kind("ConfigMap").find_map(|map| map["data"]["defaults.yaml"].as_str());
        let written = written.expect("the rules are in a ConfigMap");
        let namespace_rules = NamespaceRules::from_yaml(written, Some(&release.namespace));
        let namespace_rules = namespace_rules.expect("what the chart writes, podseal reads");
        let is_called = |namespace: &str| {
            let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"},
                "spec": {"containers": [{"name": "x", "image": "x"}]}});
            let (_, answer) = release.plane.try_pod(namespace, &pod);
            let said = answer["message"].as_str().unwrap_or_default();
            said.contains("failed calling webhook")
        };
        let sentinel = format!("{sentinel}x");
        await_condition(
            "the rules are registered",
            || is_called(&sentinel),
            String::new,
        );
        for (name, labels) in &namespaces {
            let pairs: BTreeMap<String, String> =
                serde_json::from_value(labels.clone()).expect("labels");
            let keys = namespace_rules.label_keys();
            let namespace = Namespace::keeping(name.as_str(), pairs, [], &keys);
            let cluster = ["kube-", "openshift-"]
                .iter()
                .any(|begin| name.starts_with(begin));
            let expected = match namespace.opts_in() {
                true => !cluster,
                false => namespace_rules.rule_for(&namespace).is_some(),
            };
            assert_eq!(is_called(name), expected, "{name} {labels}: {rules:#?}");
            *(if expected { &mut called } else { &mut passed }) += 1;
        }
    }
    assert!(called > 100 && passed > 100, "{called} {passed}");
}
