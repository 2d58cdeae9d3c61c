//! Profiles of one's own and namespace rules: what is refused, and that podseal reads
//! the rest as it was meant.

use admission::lint::files::{ProfileFile, read};
use admission::namespace::rules::NamespaceRules;
use admission::profile::Profiles;
use podseal::live_config::digest::RulesDigest;
use serde_json::{Value, json};

use crate::renderings::cluster::try_out;
use crate::renderings::everything::everything;
use crate::renderings::helm::{PODSEAL, merged};
use crate::renderings::refused::are_refused;

/// Values with one rule, for these namespaces.
fn rule(namespaces: &[(&str, Value)]) -> Value {
    let namespaces: Value = namespaces.iter().cloned().collect();
    json!({"namespaceRules": [{"name": "a", "namespaces": namespaces, "profile": "none"}]})
}

/// Values with one rule that says this besides.
fn in_rule(key: &str, value: Value) -> Value {
    let mut values = rule(&[("prefix", json!("a"))]);
    values["namespaceRules"][0][key] = value;
    values
}

/// So many rules: every other has a label of its own, and the rest the longest of
/// prefixes.
fn many_rules(count: usize) -> Value {
    let rule = |number: usize| {
        let namespaces = match number % 2 {
            0 => json!({"prefix": format!("{number:a>63}")}),
            _ => json!({"matchLabels": {"number": number.to_string()}}),
        };
        json!({"name": format!("r{number}"), "namespaces": namespaces, "profile": "none"})
    };
    (0..count).map(rule).collect()
}

#[test]
fn a_rule_or_a_profile_that_is_none_is_refused_by_its_path() {
    are_refused(vec![
        (
            rule(&[("prefix", json!(""))]),
            "at '/namespaceRules/0/namespaces/prefix'",
        ),
        (
            rule(&[("prefix", json!("a') || true || ('"))]),
            "at '/namespaceRules/0/namespaces/prefix'",
        ),
        (
            rule(&[("prefix", json!("ci\n"))]),
            "at '/namespaceRules/0/namespaces/prefix'",
        ),
        (rule(&[]), "at '/namespaceRules/0/namespaces'"),
        (
            rule(&[("matchLabels", json!({}))]),
            "at '/namespaceRules/0/namespaces/matchLabels'",
        ),
        (
            rule(&[("matchLabels", json!({"podseal.io/profile": "a"}))]),
            "at '/namespaceRules/0/namespaces/matchLabels/podseal.io~1profile': \
             value must be 'absent: a namespace with this label needs no rule'",
        ),
        (
            rule(&[("prefix", json!("kube-"))]),
            "at '/namespaceRules/0/namespaces/prefix': value must be 'other than kube-* and openshift-*",
        ),
        (
            rule(&[("prefix", json!("openshift-ci"))]),
            "at '/namespaceRules/0/namespaces/prefix': value must be 'other than kube-* and openshift-*",
        ),
        (
            rule(&[("matchLabels", json!({"a": "b\nc"}))]),
            "at '/namespaceRules/0/namespaces/matchLabels/a'",
        ),
        (
            rule(&[("matchLabels", json!({"a: b": "c"}))]),
            "at '/namespaceRules/0/namespaces/matchLabels': additional properties 'a: b'",
        ),
        (
            rule(&[("names", json!("a"))]),
            "at '/namespaceRules/0/namespaces': additional properties 'names'",
        ),
        (
            in_rule("name", json!("Jobs")),
            "at '/namespaceRules/0/name'",
        ),
        (
            in_rule("name", json!("a".repeat(41))),
            "at '/namespaceRules/0/name'",
        ),
        (
            in_rule("profile", json!("")),
            "at '/namespaceRules/0/profile'",
        ),
        (
            in_rule("level", json!("strict")),
            "at '/namespaceRules/0/level'",
        ),
        (
            in_rule("mode", json!("deny")),
            "at '/namespaceRules/0/mode'",
        ),
        (
            in_rule("runner", json!("")),
            "at '/namespaceRules/0/runner'",
        ),
        (
            in_rule("runners", json!("a")),
            "at '/namespaceRules/0': additional properties 'runners'",
        ),
        (
            in_rule("settings", json!({"user": "1"})),
            "at '/namespaceRules/0/settings': additional properties 'user'",
        ),
        (
            in_rule("settings", json!({"run-as-user": 0})),
            "at '/namespaceRules/0/settings/run-as-user'",
        ),
        (
            in_rule("settings", json!({"home": "work"})),
            "at '/namespaceRules/0/settings/home'",
        ),
        (
            in_rule("settings", json!({"fuse-resource": "fuse"})),
            "at '/namespaceRules/0/settings/fuse-resource'",
        ),
        (
            in_rule("settings", json!({"fuse-resource": "a.kubernetes.io/fuse"})),
            "at '/namespaceRules/0/settings/fuse-resource'",
        ),
        (
            json!({"namespaceRules": [{"namespaces": {"prefix": "a"}, "profile": "none"}]}),
            "at '/namespaceRules/0': missing property 'name'",
        ),
        (
            json!({"namespaceRules": {"rules": []}}),
            "at '/namespaceRules'",
        ),
        (
            json!({"namespaceRules": many_rules(51)}),
            "at '/namespaceRules'",
        ),
        (
            json!({"profiles": {"file": {}}}),
            "at '/profiles': additional properties 'file'",
        ),
        (
            json!({"profiles": {"files": {"ours": {"name": "ours"}}}}),
            "at '/profiles/files/ours'",
        ),
        (
            json!({"profiles": {"files": {"../ours": "name: ours"}}}),
            "at '/profiles/files': additional properties '../ours'",
        ),
        (
            json!({"profiles": {"configMap": "Ours"}}),
            "at '/profiles/configMap'",
        ),
        (
            json!({"profiles": {"files": {"ours": "name: ours"}, "configMap": "theirs"}}),
            "at '/profiles/configMap': value must be 'empty while profiles.files is set'",
        ),
    ]);
}

/// The text of a ConfigMap's key.
fn written<'o>(objects: &'o [Value], key: &str) -> &'o str {
    let mut texts = objects
        .iter()
        .filter_map(|object| object["data"][key].as_str());
    texts.next().expect("it is in a ConfigMap")
}

#[test]
fn podseal_reads_the_rules_and_profiles_of_a_rendering_as_they_were_given() {
    let values = everything();
    let objects = PODSEAL.objects(&values);
    let namespace_rules =
        NamespaceRules::from_yaml(written(&objects, "defaults.yaml"), Some("podseal"));
    let namespace_rules = namespace_rules.expect("rules");
    let given = values["namespaceRules"].as_array().expect("rules");
    assert_eq!(namespace_rules.rules().len(), given.len());
    for (rule, given) in namespace_rules.rules().iter().zip(given) {
        let settings = rule.settings.iter().map(|(setting, value)| {
            let annotation = setting.annotation().replace("podseal.io/", "");
            (annotation, json!(value))
        });
        let read = json!({
            "name": rule.name,
            "namespaces": {"prefix": rule.namespaces.prefix, "matchLabels": rule.namespaces.match_labels},
            "profile": rule.profile,
            "level": rule.level,
            "mode": rule.mode,
            "runner": rule.runner,
            "settings": settings.collect::<serde_json::Map<_, _>>(),
        });
        let mut expected = merged(
            &json!({"namespaces": {"prefix": null, "matchLabels": {}}, "level": null, "mode": null,
                "runner": null, "settings": {}}),
            given,
        );
        if let Some(user) = expected["settings"].get_mut("run-as-user") {
            *user = user.to_string().trim_matches('"').into();
        }
        assert_eq!(read, expected);
    }
    let file = ProfileFile {
        name: "profile-name.yaml".to_owned(),
        text: written(&objects, "profile-name.yaml").to_owned(),
    };
    let (profiles, remarks) = read(&[file]).expect("a profile");
    assert_eq!(remarks, []);
    assert!(profiles.get("profile-name").is_some());
}

#[test]
fn as_many_rules_as_there_may_be_are_accepted_by_the_api_server() {
    let rendering = PODSEAL.render(&json!({"namespaceRules": many_rules(50)}));
    try_out(&rendering).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rendering.matches(".mutate.podseal.io\n").count(), 1 + 25);
}

#[test]
fn an_entry_is_listed_with_the_rules_that_it_is_for() {
    let rule = |name: &str, namespaces: Value| json!({"name": name, "namespaces": namespaces, "profile": "none"});
    let rendering = PODSEAL.render(&json!({"namespaceRules": [
        rule("jobs", json!({"prefix": "ci-job-"})),
        rule("team", json!({"matchLabels": {"team": "a"}})),
        // Asked about with the team already.
        rule("team-ci", json!({"prefix": "ci-", "matchLabels": {"team": "a", "ci": "yes"}})),
        rule("stages", json!({"prefix": "stage-"})),
        rule("labs", json!({"prefix": "lab-", "matchLabels": {"lab": "b"}})),
    ]}));
    for webhook in ["mutate", "validate"] {
        let name = format!("{webhook}.podseal.io");
        let lines: Vec<&str> = rendering.lines().collect();
        let entries: Vec<&str> = lines
            .windows(2)
            .filter(|pair| pair[1].starts_with("- name: defaults") && pair[1].ends_with(&name))
            .map(|pair| pair[0])
            .collect();
        let expected = [
            "# rules: jobs, stages",
            "# rules: team, team-ci",
            "# rules: labs",
        ];
        assert_eq!(entries, expected, "{webhook}");
    }
}

#[test]
fn rules_and_profiles_that_could_not_be_served_are_refused_by_a_sentence() {
    let named = |name: &str, profile: &str| json!({"name": name, "namespaces": {"prefix": "a"}, "profile": profile});
    let file = |name: &str| json!({"files": {name: "name: ours\nextends: rootless\n"}});
    let cases = [
        (
            json!({"namespaceRules": [named("jobs", "none"), named("jobs", "none")]}),
            "namespaceRules: rule jobs: another rule has the same name; rename one",
        ),
        (
            json!({"namespaceRules": [named("jobs", "rootles")], "profiles": file("ours")}),
            "namespaceRules: rule jobs: profile rootles not found; set one of none, openshift, privileged, \
             root, root-fuse, rootless, userns, ours",
        ),
        (
            json!({"profiles": file("theirs")}),
            "profiles.files.theirs: the profile's name is ours, not theirs; make them the same",
        ),
        (
            json!({"profiles": {"files": {"ours": "name: ours\npod: {default: {}, ifUnset: {}}\n"}}}),
            "profiles.files.ours: pod: sets both ifUnset and default, its deprecated name; set only ifUnset",
        ),
        (
            json!({"profiles": {"files": {
                "ours": "name: ours\ncontainers: {init: {default: {}, ifUnset: {}}}\n"}}}),
            "profiles.files.ours: containers.init: sets both ifUnset and default, its deprecated name",
        ),
    ];
    for (values, expected) in cases {
        let error = PODSEAL.try_render(&values).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    }
    // What is in a ConfigMap of somebody else's is not known here.
    let values = json!({"namespaceRules": [named("jobs", "ours")]});
    for profiles in [file("ours"), json!({"configMap": "theirs"})] {
        let values = merged(&values, &json!({"profiles": profiles}));
        let rendered = PODSEAL.try_render(&values);
        assert!(rendered.is_ok(), "{rendered:?}");
    }
}

#[test]
fn the_old_name_of_namespace_rules_is_read_and_both_names_are_refused() {
    let rule = json!([{"name": "a", "namespaces": {"prefix": "a"}, "profile": "none"}]);
    let new = json!({"namespaceRules": rule});
    let old = json!({"defaults": rule});
    assert_eq!(PODSEAL.render(&old), PODSEAL.render(&new));
    assert!(PODSEAL.render(&new).contains("- --namespace-rules="));
    are_refused(vec![(
        merged(&old, &new),
        "at '/defaults': value must be 'empty while namespaceRules, its new name, is set'",
    )]);
}

#[test]
fn values_of_which_podseal_would_ignore_one_are_refused_without_the_schema_too() {
    let rules = json!([{"name": "a", "namespaces": {"prefix": "a"}, "profile": "none"}]);
    for (values, key) in [
        (
            json!({"namespaceRules": rules, "defaults": rules}),
            "defaults:",
        ),
        (
            json!({"profiles": {"files": {"ours": "name: ours"}, "configMap": "theirs"}}),
            "profiles.configMap:",
        ),
    ] {
        let error = PODSEAL.try_render_with(&["--skip-schema-validation"], &values);
        let error = error.expect_err("refused");
        assert!(
            error.contains(&format!("{key} set together with")),
            "{error}"
        );
    }
}

#[test]
fn the_built_in_profiles_that_rules_may_name_are_those_there_are() {
    let mut names: Vec<_> = Profiles::built_in()
        .iter()
        .map(|profile| &profile.name)
        .collect();
    names.sort();
    let names: Vec<_> = names.into_iter().map(String::as_str).collect();
    let rule = json!({"name": "a", "namespaces": {"prefix": "a"}, "profile": "no-such"});
    let error = PODSEAL.try_render(&json!({"namespaceRules": [rule]}));
    let error = error.expect_err("refused");
    let expected = format!("set one of {}", names.join(", "));
    let end = error
        .lines()
        .next()
        .is_some_and(|line| line.ends_with(&expected));
    assert!(end || error.contains(&format!("{expected}\n")), "{error}");
}

#[test]
fn no_file_can_have_the_name_of_a_built_in_profile() {
    for profile in Profiles::built_in().iter() {
        let name = &profile.name;
        let values = json!({"profiles": {"files": {name: format!("name: {name}")}}});
        let rendered = PODSEAL.try_render(&values);
        if name == "root" {
            // It is new in this version, and may be a profile of the cluster's own.
            rendered.expect("one of the cluster's own is used");
            continue;
        }
        let error = rendered.expect_err(name);
        let expected = format!(
            "at '/profiles/files/{name}': value must be 'under another name: a built-in profile has this one'"
        );
        assert!(error.contains(&expected), "{error}");
    }
}

/// The paths of the entries of both configurations, those of the label first.
fn paths(objects: &[Value]) -> Vec<String> {
    let kinds = [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ];
    let configurations = kinds.map(|kind| crate::renderings::helm::object(objects, kind));
    let entries = configurations
        .into_iter()
        .flat_map(|configuration| configuration["webhooks"].as_array().expect("webhooks"));
    let path = |entry: &Value| entry["clientConfig"]["service"]["path"].clone();
    let path = entries.map(path);
    path.map(|path| path.as_str().expect("a path").to_owned())
        .collect()
}

#[test]
fn an_entry_of_rules_names_in_its_path_the_digest_of_what_podseal_reads() {
    let awkward = [
        "gitlab",
        "\u{e9}\u{a0}\u{2028}\u{1f600}",
        "'\"#: {}[]\\",
        "~",
        "0123",
        " spaces at both ends ",
    ];
    let mut seen = std::collections::BTreeSet::new();
    for runner in awkward {
        let values = json!({"namespaceRules": [
            {"name": "a", "namespaces": {"prefix": "a"}, "profile": "none", "runner": runner,
             "settings": {}},
            {"name": "b", "namespaces": {"matchLabels": {"x": "1"}}, "profile": "none"},
        ]});
        let objects = PODSEAL.objects(&values);
        let digest = RulesDigest::of(written(&objects, "defaults.yaml")).to_string();
        let expected = ["/mutate", "/validate"].map(|door| {
            [
                door.to_owned(),
                format!("{door}/{digest}"),
                format!("{door}/{digest}"),
            ]
        });
        assert_eq!(paths(&objects), expected.concat(), "{runner}");
        // And a ConfigMap of its own, so that none is read that is older.
        let named = format!("podseal-{}", &digest[.."rules-".len() + 8]);
        let config_maps = objects
            .iter()
            .filter(|object| object["kind"] == "ConfigMap");
        let names: Vec<_> = config_maps.map(|map| &map["metadata"]["name"]).collect();
        assert_eq!(names, [named.as_str()]);
        let deployment = crate::renderings::helm::object(&objects, "Deployment");
        let volumes = &deployment["spec"]["template"]["spec"]["volumes"];
        assert_eq!(volumes[0]["configMap"]["name"], named.as_str());
        assert!(seen.insert(digest), "{runner}: another set has this digest");
        let plain = merged(&values, &json!({"webhooks": {"rulesInPath": false}}));
        let expected = ["/mutate", "/validate"].map(|door| [door; 3]);
        assert_eq!(paths(&PODSEAL.objects(&plain)), expected.concat());
    }
}
