//! The chart takes the rules and profiles that podseal takes, and no others: replicas
//! that start with others would end with an error, and those of before once they
//! start again, since they read the same ConfigMap.

use admission::lint::files::{ProfileFile, read};
use admission::namespace::rules::NamespaceRules;
use admission::profile::{Profiles, Setting};
use serde_json::{Value, json};

use crate::renderings::helm::PODSEAL;

/// A rule with one setting.
fn setting(profile: &str, setting: &str, value: impl Into<Value>) -> Value {
    json!({"name": "a", "namespaces": {"prefix": "a"}, "profile": profile, "runner": "gitlab",
        "settings": {setting: value.into()}})
}

/// A rule for namespaces with this label.
fn label(key: &str, value: &str) -> Value {
    json!({"name": "a", "namespaces": {"matchLabels": {key: value}}, "profile": "none"})
}

/// Why podseal would not start with this rule.
fn problem(rule: &Value) -> Option<String> {
    let rules = json!({"rules": [rule]}).to_string();
    match NamespaceRules::from_yaml(&rules, Some("podseal")) {
        Ok(namespace_rules) => namespace_rules.problem_with(Profiles::built_in()),
        Err(error) => Some(error.to_string()),
    }
}

/// What helm says of values with these rules; nothing where it renders them.
fn error_of(rules: &[Value]) -> String {
    let rendered = PODSEAL.try_render(&json!({"namespaceRules": rules}));
    rendered.err().unwrap_or_default()
}

/// Has the schema refuse exactly those of the rules that podseal refuses.
fn are_taken_alike(rules: &[Value]) {
    for rules in rules.chunks(50) {
        let with_names = rules.iter().enumerate().map(|(number, rule)| {
            let mut rule = rule.clone();
            rule["name"] = format!("r{number}").into();
            rule
        });
        let error = error_of(&with_names.collect::<Vec<_>>());
        let (mut taken, mut refused) = (0, 0);
        for (number, rule) in rules.iter().enumerate() {
            let problem = problem(rule);
            let is_refused = error.contains(&format!("at '/namespaceRules/{number}/"));
            assert_eq!(
                is_refused,
                problem.is_some(),
                "{rule}: {problem:?}\n{error}"
            );
            *(if is_refused { &mut refused } else { &mut taken }) += 1;
        }
        assert!(taken > 1 && refused > 1, "{taken} taken, {refused} refused");
    }
}

#[test]
fn the_schema_takes_the_users_that_podseal_takes() {
    let users = [
        "1", "9", "10", "999", "9999", "10000", "59999", "60000", "64999", "65000", "65499",
        "65529", "65530", "65535", "", "0", "-1", "+1", "01", "010", "1.0", "1e3", "65536",
        "65540", "65600", "66000", "70000", "99999", "100000", "1\n", "x",
    ];
    let written = users.map(|user| setting("rootless", "run-as-user", user));
    let numbers = [0, 1, 1000, 65535, 65536].map(|user| setting("rootless", "run-as-user", user));
    are_taken_alike(&[&written[..], &numbers].concat());
}

#[test]
fn the_schema_takes_the_homes_that_podseal_takes() {
    let paths = [
        "/work",
        "/my_custom_dir",
        "/root",
        "/tmp",
        "/home/me",
        "/home/podman2",
        "/opt/app/",
        "/usrx",
        "/var/lib/x",
        "/var/runs",
        "/a/..b",
        "/a/.b",
        "/a/b.",
        "/.a",
        "/...",
        "/ü b",
    ];
    let others = [
        "",
        "work",
        "/",
        "//",
        "/a//b",
        "/a//",
        "/a/../b",
        "/./a",
        "/a/..",
        "/..",
        "/a/./",
        "/proc",
        "/proc/1",
        "/sys/",
        "/dev/shm",
        "/etc",
        "/bin",
        "/sbin/x",
        "/usr/local",
        "/lib",
        "/lib32",
        "/lib64/x",
        "/libx32",
        "/boot",
        "/run/secrets",
        "/var/run",
        "/var/run/x",
        "/home",
        "/home/",
        "/opt/",
        "/var",
        "/var/lib",
        "/home/podman",
        "/home/podman/",
        "/home/podman/.local",
        "/a:b",
        "/$HOME",
        "/a$$b",
        "/a\nb",
        "/a\n",
        "/a\u{1}",
        "/a\u{1b}",
        "/a\tb",
    ];
    let all = paths.into_iter().chain(others);
    let rules: Vec<_> = all.map(|path| setting("rootless", "home", path)).collect();
    // Both kinds in each rendering.
    let (even, odd): (Vec<_>, Vec<_>) = rules
        .iter()
        .cloned()
        .enumerate()
        .partition(|(n, _)| n % 2 == 0);
    for half in [even, odd] {
        let rules: Vec<_> = half.into_iter().map(|(_, rule)| rule).collect();
        are_taken_alike(&rules);
    }
}

#[test]
fn the_schema_takes_the_devices_names_that_podseal_takes() {
    let domain = |length: usize| "a.".repeat((length - 1) / 2) + &"a".repeat(2 - length % 2);
    let domains = [
        "a",
        "a.b",
        "github.com",
        "a-b.c",
        "requests",
        "kubernetes.io.b",
        "",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-.b",
        "a.-b",
        "A.b",
        "a_b",
        "kubernetes.io",
        "a.kubernetes.io",
        "akubernetes.io",
        "requests.a",
        "a/b",
    ];
    let long = [244, 245, 300].map(domain);
    let all = domains.into_iter().chain(long.iter().map(String::as_str));
    let rules: Vec<_> = all
        .map(|domain| setting("root-fuse", "fuse-resource", format!("{domain}/fuse")))
        .collect();
    are_taken_alike(&rules);
}

#[test]
fn the_schema_takes_the_labels_that_podseal_takes() {
    let domain = |length: usize| "a.".repeat((length - 1) / 2) + &"a".repeat(2 - length % 2);
    let long = [253, 254, 300].map(|length| format!("{}/b", domain(length)));
    let names = [63, 64].map(|length| "a".repeat(length));
    let keys = [
        "a",
        "A_b.c",
        "a.b/c",
        "a-b/C",
        "podseal.io/team",
        "",
        "/b",
        "a/",
        "a/b/c",
        "a..b/c",
        ".a/b",
        "a./b",
        "-a/b",
        "a-/b",
        "A.b/c",
        "a_b/c",
        "a b",
        "-a",
        "a\n",
        "podseal.io/profile",
    ];
    let all = keys.into_iter().map(str::to_owned).chain(long).chain(names);
    let mut rules: Vec<_> = all.map(|key| label(&key, "d")).collect();
    for value in [
        "",
        "A_b.c",
        "-a",
        "a b",
        "a-",
        &"a".repeat(63),
        &"a".repeat(64),
    ] {
        rules.push(label("a", value));
    }
    are_taken_alike(&rules);
}

#[test]
fn a_built_in_profile_takes_the_settings_that_the_chart_says_it_takes() {
    for profile in Profiles::built_in().iter() {
        let name = &profile.name;
        let values = [
            (Setting::RunAsUser, "2000", ""),
            (Setting::Home, "/work", ""),
            (Setting::HomeSize, "20Gi", ""),
            (Setting::FuseResource, "a.b/fuse", ""),
            (
                Setting::FuseResource,
                "a.b/gpu",
                "at '/namespaceRules/0/settings/fuse-resource': 'a.b/gpu' does not match pattern '/fuse$'",
            ),
        ];
        for (kind, value, why) in values {
            let kind = kind.name();
            let rule = setting(name, kind, value);
            let problem = problem(&rule);
            let error = error_of(&[rule]);
            assert_eq!(
                error.is_empty(),
                problem.is_none(),
                "{name} {kind}: {problem:?}\n{error}"
            );
            let nothing = format!(
                "rule a: settings.{kind}: changes nothing in the profile {name}; remove it"
            );
            let expected = error.is_empty()
                || error.contains(&nothing)
                || error.contains(why) && !why.is_empty();
            assert!(expected, "{error}");
        }
    }
}

#[test]
fn helm_refuses_what_podseal_would_refuse_when_it_starts_and_explains_why() {
    let cluster = "value must be 'other than kube-* and openshift-*";
    let own = "no rule applies to podseal's own namespace, podseal; set another label";
    let long = "settings.home: is longer than 512 bytes, or has a segment longer than 255";
    let home = |path: String| setting("rootless", "home", path);
    let key = "kubernetes.io/metadata.name";
    let cases = [
        (label(key, "kube-system"), cluster),
        (label(key, "openshift-x"), cluster),
        (label(key, "podseal"), own),
        (label(key, "podseal-ci"), ""),
        (label(key, "openshift"), ""),
        (label("team", "podseal"), ""),
        (home(format!("/{}", "a".repeat(255))), ""),
        (home(format!("/{}", "a".repeat(256))), long),
        (home(format!("/{}", "a".repeat(600))), long),
        (home("/a".repeat(256)), ""),
        (home("/a".repeat(257)), long),
        (home(format!("/{}", "ü".repeat(128))), long),
        (home("/ü".repeat(171)), long),
        (home("/ü".repeat(170)), ""),
        (
            setting("root-fuse", "fuse-resource", "a.b/gpu"),
            "does not match pattern '/fuse$'",
        ),
    ];
    for (rule, expected) in cases {
        let problem = problem(&rule);
        assert_eq!(
            problem.is_some(),
            !expected.is_empty(),
            "{rule}: {problem:?}"
        );
        let error = error_of(&[rule]);
        assert!(
            error.contains(expected) && error.is_empty() == expected.is_empty(),
            "{expected}: {error}"
        );
    }
}

#[test]
fn what_a_profile_of_ones_own_takes_is_podseals_to_say() {
    let rules = [
        setting("ours", "fuse-resource", "a.b/gpu"),
        setting("ours", "home", "/work"),
    ];
    for rule in rules {
        let values =
            json!({"namespaceRules": [rule], "profiles": {"files": {"ours": "name: ours"}}});
        let rendered = PODSEAL.try_render(&values);
        assert!(rendered.is_ok(), "{rendered:?}");
    }
}

#[test]
fn a_file_that_is_no_profile_is_refused_by_a_sentence() {
    let cases = [
        (
            "a: [",
            "profiles.files.ours: the text is not a profile in YAML: ",
        ),
        (
            "- a",
            "profiles.files.ours: the text is not a profile in YAML: ",
        ),
        (
            "ours",
            "profiles.files.ours: the text is not a profile in YAML: ",
        ),
        (
            "summary: x\nextends: rootless\n",
            "profiles.files.ours: the profile has no name; add name: ours",
        ),
        ("# nothing\n", "the profile has no name"),
        ("---\n", "the profile has no name"),
        ("name: \n", "the profile has no name"),
        ("name: ''\n", "the profile has no name"),
        (
            "name: 1\n",
            "the profile's name is 1, not ours; make them the same",
        ),
        (
            "name: no\n",
            "the profile's name is the boolean false; put it in quotes",
        ),
        (
            "name: theirs\n",
            "the profile's name is theirs, not ours; make them the same",
        ),
    ];
    for (text, expected) in cases {
        let values = json!({"profiles": {"files": {"ours": text}}});
        let error = PODSEAL.try_render(&values).expect_err(expected);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn the_chart_takes_every_profile_of_the_examples_and_the_text_stays_the_same() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/profiles");
    let paths = std::fs::read_dir(folder).expect("the folder is there");
    let paths = paths.map(|entry| entry.expect("it can be read").path());
    let mut files = serde_json::Map::new();
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let mut names = text.lines().filter_map(|line| line.strip_prefix("name: "));
        let name = names.next().expect("it has one").to_owned();
        files.insert(name, text.into());
    }
    assert!(files.len() > 3, "{:?}", files.keys());
    let objects = PODSEAL.objects(&json!({"profiles": {"files": files}}));
    let is_ours = |object: &&Value| object["metadata"]["name"] == "podseal-profiles";
    let rendered = objects.iter().find(is_ours).expect("it is rendered");
    let as_file = |(name, text): (&String, &Value)| {
        assert_eq!(rendered["data"][format!("{name}.yaml")], *text, "{name}");
        let (name, text) = (name.clone(), text.as_str().expect("text").to_owned());
        ProfileFile { name, text }
    };
    let files: Vec<_> = files.iter().map(as_file).collect();
    read(&files).expect("podseal takes them");
}
