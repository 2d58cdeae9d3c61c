//! A runner has to be named where a profile grants more than the baseline; and the
//! chart refuses values under which jobs would be denied for want of it.

use admission::lint::files::{ProfileFile, read};
use admission::profile::Profiles;
use admission::standards::Level;
use serde_json::{Map, Value, json};

use crate::renderings::helm::{PODSEAL, object};

const REFUSED: &str = "serve.requireRunner: defaults to true, and jobs would be denied for: ";

/// A rule for this profile, with nothing that names a runner.
fn rule(name: &str, profile: &str) -> Value {
    json!({"name": name, "namespaces": {"prefix": format!("{name}-")}, "profile": profile})
}

fn is_refused(values: &Value) -> bool {
    match PODSEAL.try_render(values) {
        Ok(_) => false,
        Err(error) if error.contains(REFUSED) => true,
        Err(error) => panic!("{values}: {error}"),
    }
}

#[test]
fn a_rule_whose_built_in_profile_grants_beyond_the_baseline_needs_a_runner() {
    let mut refused = 0;
    for profile in Profiles::built_in().iter() {
        let grants = profile.grants_beyond_baseline(Level::Baseline);
        let values = json!({"namespaceRules": [rule("jobs", &profile.name)]});
        assert_eq!(is_refused(&values), grants, "{}", profile.name);
        refused += usize::from(grants);
    }
    assert_eq!(refused, 1, "it is the profile privileged");
}

#[test]
fn a_rule_that_names_its_runner_or_is_of_another_level_passes() {
    for (key, value, refused) in [
        (
            "runner",
            "system:serviceaccount:gitlab:gitlab-runner",
            false,
        ),
        ("level", "privileged", false),
        ("level", "restricted", false),
        ("level", "baseline", true),
        ("mode", "audit", true),
    ] {
        let mut rule = rule("jobs", "privileged");
        rule[key] = value.into();
        assert_eq!(
            is_refused(&json!({"namespaceRules": [rule]})),
            refused,
            "{key}: {value}"
        );
    }
}

#[test]
fn a_value_that_is_set_is_a_decision_and_nothing_is_refused() {
    let with =
        |serve: Value| json!({"namespaceRules": [rule("jobs", "privileged")], "serve": serve});
    for (serve, argument) in [
        (json!({"requireRunner": true}), "--require-runner"),
        (json!({"requireRunner": false}), "--require-runner=false"),
    ] {
        let objects = PODSEAL.objects(&with(serve));
        let args =
            &object(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
        let args = args.as_array().expect("arguments");
        assert!(args.contains(&json!(argument)), "{args:?}");
    }
    assert!(is_refused(&with(json!({}))));
    assert!(is_refused(&with(json!({"requireRunner": null}))));
    // Unset, it is required.
    let objects = PODSEAL.objects(&json!({}));
    let args = &object(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    let args = args.as_array().expect("arguments");
    assert!(args.contains(&json!("--require-runner")), "{args:?}");
}

#[test]
fn the_break_glass_switch_works_whatever_the_rules() {
    let values =
        json!({"namespaceRules": [rule("jobs", "privileged")], "webhooks": {"enabled": false}});
    assert!(!is_refused(&values));
}

/// Sets of profiles, each by its name with what it says beside that.
const PROFILES: &[&[(&str, &str)]] = &[
    &[(
        "own",
        "containers: {build: {capabilities: {add: [SETUID]}}}",
    )],
    &[(
        "own",
        "containers: {build: {set: {securityContext: {privileged: true, allowPrivilegeEscalation: true}}, grants: {baseline: [privileged]}}}",
    )],
    &[(
        "own",
        "containers: {services: {grants: {baseline: [privileged]}}}",
    )],
    &[(
        "own",
        "containers: {build: {grants: {restricted: [seccompProfile]}}}",
    )],
    &[("own", "containers: {build: {grants: {baseline: []}}}")],
    &[("own", "extends: privileged")],
    &[("own", "extends: rootless")],
    // One role's grants are replaced, those of the other stay.
    &[(
        "own",
        "extends: privileged\ncontainers: {build: {set: {securityContext: {privileged: false}}, grants: {baseline: []}}}",
    )],
    &[(
        "own",
        "extends: privileged\ncontainers: {build: {set: {securityContext: {privileged: false}}, grants: {baseline: []}}, services: {grants: {baseline: []}}}",
    )],
    // Whatever is taken away by null, the grants go with it.
    &[("own", "extends: privileged\ncontainers: null")],
    &[("own", "extends: privileged\ncontainers: {build: null}")],
    &[(
        "own",
        "extends: privileged\ncontainers: {build: null, services: null}",
    )],
    &[(
        "own",
        "extends: privileged\ncontainers: {build: {set: {securityContext: {privileged: false}}, grants: null}, services: {grants: {baseline: null}}}",
    )],
    // An object is merged, and what it does not say stays.
    &[(
        "own",
        "extends: privileged\ncontainers: {build: {grants: {restricted: [capabilities]}}, services: {}}",
    )],
    &[(
        "own",
        "extends: privileged\ncontainers: {services: {grants: {baseline: []}}}",
    )],
    // Chains, in either order of their names.
    &[
        ("a", "extends: b"),
        ("b", "extends: c"),
        ("c", "extends: privileged"),
    ],
    &[
        ("c", "extends: b"),
        ("b", "extends: a"),
        ("a", "extends: privileged"),
    ],
    &[
        ("a", "extends: b"),
        ("b", "extends: c\ncontainers: null"),
        ("c", "extends: privileged"),
    ],
    &[
        (
            "a",
            "extends: b\ncontainers: {helper: {grants: {baseline: [seccompProfile]}, set: {securityContext: {seccompProfile: {type: Unconfined}}}}}",
        ),
        ("b", "extends: rootless"),
    ],
    // As YAML lets it be written.
    &[("own", "extends: 'privileged'")],
    &[("own", "x: &x\n  baseline: [privileged]\n")],
    &[(
        "own",
        "extends: ~\ncontainers: {services: {grants: {baseline: [privileged]}}}",
    )],
];

#[test]
fn the_chart_knows_which_profiles_of_ones_own_grant_beyond_the_baseline() {
    let (mut granting, mut others, mut unusable) = (0, 0, 0);
    for set in PROFILES {
        let texts: Vec<(String, String)> = set
            .iter()
            .map(|(name, says)| {
                let text = format!("name: {name}\nsummary: a test's\n{says}\n");
                ((*name).to_owned(), text)
            })
            .collect();
        let files: Vec<_> = texts
            .iter()
            .map(|(name, text)| ProfileFile {
                name: format!("{name}.yaml"),
                text: text.clone(),
            })
            .collect();
        // What podseal does not take it does not grant by either.
        let Ok((profiles, _)) = read(&files) else {
            unusable += 1;
            continue;
        };
        let values: Map<_, _> = texts
            .into_iter()
            .map(|(name, text)| (name, Value::from(text)))
            .collect();
        for (name, says) in *set {
            let profile = profiles.get(name).expect("it is read");
            let grants = profile.grants_beyond_baseline(Level::Baseline);
            let values =
                json!({"namespaceRules": [rule("jobs", name)], "profiles": {"files": values}});
            assert_eq!(is_refused(&values), grants, "{name}: {says}");
            *(if grants { &mut granting } else { &mut others }) += 1;
        }
    }
    assert!(granting >= 10 && others >= 8, "{granting}, {others}");
    assert_eq!(unusable, 1, "one of them has a field that no profile has");
}

#[test]
fn profiles_that_extend_each_other_in_a_circle_are_podseals_to_refuse() {
    let files = json!({
        "a": "name: a\nsummary: x\nextends: b\n",
        "b": "name: b\nsummary: x\nextends: a\n",
    });
    let values = json!({"namespaceRules": [rule("jobs", "a")], "profiles": {"files": files}});
    assert!(!is_refused(&values));
}

#[test]
fn the_refusal_lists_a_few_rules_and_counts_the_others() {
    let name = |number: usize| format!("{number:02}-{}", "x".repeat(37));
    let rules: Vec<_> = (0..50)
        .map(|number| rule(&name(number), "privileged"))
        .collect();
    let rules: Vec<_> = rules
        .into_iter()
        .map(|mut rule| {
            let prefix: String = rule["name"].as_str().expect("a name").into();
            rule["namespaces"]["prefix"] = prefix.into();
            rule
        })
        .collect();
    let error = PODSEAL.try_render(&json!({"namespaceRules": rules}));
    let error = error.expect_err("refused");
    let listed = format!(
        "{} and 45 more (namespace rules)",
        (0..5).map(name).collect::<Vec<_>>().join(", ")
    );
    assert!(error.contains(&listed), "{error}");
    assert!(error.len() < 1500, "{} bytes: {error}", error.len());
}
