//! Namespace rules that were written carelessly, and namespaces that try to get
//! round them.

use admission::namespace::policy::{Policy, Settings};
use admission::namespace::rules::NamespaceRules;
use admission::namespace::{Mode, Namespace};

const JOBS: &str = "rules:\n- name: jobs\n  namespaces: {prefix: ci-job-}\n  profile: privileged\n  \
                    level: baseline\n  mode: enforce\n  runner: system:serviceaccount:gitlab:gitlab-runner\n";

fn with_policy(
    labels: &[(&str, &str)],
    annotations: &[(&str, &str)],
    check: impl FnOnce(&Policy<'_>),
) {
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    };
    let namespace_rules = NamespaceRules::from_yaml(JOBS, None).expect("rules");
    let settings = Settings {
        namespace_rules: &namespace_rules,
        ..Settings::built_in()
    };
    let namespace = Namespace::new("ci-job-1", owned(labels), owned(annotations));
    check(&Policy::from_namespace(&namespace, &settings).expect("the rule applies to it"));
}

#[test]
fn a_rules_runner_is_not_replaced_by_an_annotation_of_the_namespace() {
    with_policy(&[], &[("podseal.io/runner", "mallory")], |policy| {
        assert!(
            !policy.is_runner("mallory"),
            "mallory's pods would be privileged"
        );
    });
}

#[test]
fn a_namespace_without_the_profiles_label_does_not_lower_its_rules_level_or_mode() {
    with_policy(
        &[
            ("podseal.io/mode", "audit"),
            ("podseal.io/level", "privileged"),
        ],
        &[],
        |policy| {
            assert_eq!(
                (policy.mode, policy.level.name()),
                (Mode::Enforce, "baseline")
            );
        },
    );
}

#[test]
fn a_rule_that_can_match_no_namespace_or_ends_its_expression_is_rejected() {
    for namespaces in [
        "{prefix: \"ci-') || true || ('\"}",
        "{prefix: CI_JOB}",
        "{prefix: \"-ci\"}",
        "{matchLabels: {\"a b\": x}}",
        "{matchLabels: {a: \"x y\"}}",
        "{matchLabels: {kubernetes.io/metadata.name: kube-system}}",
    ] {
        let text = format!("rules:\n- {{name: a, namespaces: {namespaces}, profile: none}}\n");
        assert!(
            NamespaceRules::from_yaml(&text, None).is_err(),
            "{namespaces}"
        );
    }
}

#[test]
fn no_rule_matches_a_namespace_of_the_cluster_or_podseals_own() {
    let text = "rules:\n- {name: a, namespaces: {prefix: k}, profile: none}\n\
                - {name: b, namespaces: {prefix: open}, profile: none}\n\
                - {name: c, namespaces: {prefix: pod}, profile: none}\n";
    let namespace_rules = NamespaceRules::from_yaml(text, Some("podseal")).expect("rules");
    let has_rule = |name: &str| {
        namespace_rules
            .rule_for(&Namespace::new(name, [], []))
            .is_some()
    };
    for name in ["kube-system", "kube-", "openshift-ci", "podseal"] {
        assert!(!has_rule(name), "{name}");
    }
    assert!(has_rule("kubeflow") && has_rule("open") && has_rule("podsealed"));
}
