//! What a namespace's settings, and a namespace rule in its place, can change: which
//! somebody a container runs as, where HOME is, what the fuse device is called; and
//! nothing else, whatever the profile.

use std::sync::LazyLock;

use admission::decision::{Allowed, Decision, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::rules::NamespaceRules;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::profile::overrides::{FUSE_RESOURCE, HOME, RUN_AS_USER};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::fixture;
use cases::job_log::unfit;
use cases::pods::job_pod;
use cases::refusals::refusals;
use cases::review::review_of;
use cases::widening::{beside_settings, fuse_device, without_mark};
use cases::{profiles, view};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// How many generated profiles.
const GENERATED: usize = 60;
const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];
/// A device's name that no profile here has.
const DEVICE: &str = "example.com/fuse";

/// The built-in profiles, and as many that `podseal profiles --check` would accept.
static PROFILES: LazyLock<Profiles> = LazyLock::new(|| {
    let mut runner = TestRunner::default();
    let strategy = profiles::profile();
    let mut profiles: Vec<_> = Profiles::built_in().iter().cloned().collect();
    let built_in = profiles.len();
    while profiles.len() < built_in + GENERATED {
        let mut profile = strategy.new_tree(&mut runner).expect("a profile").current();
        profile["name"] = format!("generated-{}", profiles.len()).into();
        profiles.extend(Profile::from_yaml(&profile.to_string()).ok());
    }
    profiles.into_iter().collect()
});

fn any_profile() -> impl Strategy<Value = &'static Profile> {
    any::<Index>().prop_map(|index| {
        let profiles: Vec<_> = PROFILES.iter().collect();
        profiles[index.index(profiles.len())]
    })
}

/// Some of the annotations, with values that are in order for some profile.
fn annotations() -> impl Strategy<Value = Vec<(String, String)>> {
    let user = select(vec!["1", "2000", "65535"]);
    let home = select(vec!["/work/home", "/builds", "/my_custom_dir/", "/home/me"]);
    let one = |key: &'static str, value: &str| (key.to_owned(), value.to_owned());
    (user, home, 1..8_u8).prop_map(move |(user, home, which)| {
        let all = [
            one(RUN_AS_USER, user),
            one(HOME, home),
            one(FUSE_RESOURCE, DEVICE),
        ];
        let bits = [1, 2, 4].map(|bit| which & bit != 0);
        all.into_iter()
            .zip(bits)
            .filter(|(_, is_in)| *is_in)
            .map(|(pair, _)| pair)
            .collect()
    })
}

fn namespace(profile: &str, level: &str, annotations: &[(String, String)]) -> Namespace {
    let labels = [(PROFILE, profile), (LEVEL, level)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Namespace::new("gitlab-ci", labels, annotations.to_vec())
}

fn settings(namespace_rules: &NamespaceRules) -> Settings<'_> {
    Settings {
        profiles: &PROFILES,
        namespace_rules,
        require_runner: false,
        ignore_user_namespaces: false,
    }
}

/// The pod as it is stored and the messages about it, unless its correction is
/// denied.
fn stored(pod: &Value, namespace: &Namespace) -> Result<(Value, Vec<String>), String> {
    let namespace_rules = NamespaceRules::default();
    let settings = settings(&namespace_rules);
    let body = review_of(pod).to_string();
    let request = Request::from_review(body.as_bytes()).expect("a review");
    let after = match mutate(request, namespace, &settings).outcome {
        Outcome::Deny(denial) => return Err(denial.message),
        Outcome::Mutate(patch) => patched(pod, &patch),
        Outcome::Allow(_) => pod.clone(),
    };
    let body = review_of(&after).to_string();
    let request = || Request::from_review(body.as_bytes()).expect("a review");
    let again = mutate(request(), namespace, &settings).outcome;
    assert_eq!(again, Outcome::Allow(Allowed::AlreadyRight), "{after}");
    let judged = validate(request(), namespace, &settings);
    assert!(judged.changes.is_empty(), "{:?}", judged.changes);
    Ok((without_mark(after), violations(&judged)))
}

fn violations(judged: &Decision<'_>) -> Vec<String> {
    let listed = judged.violations.listed.iter();
    listed
        .map(|v| {
            format!(
                "{} {} {}: {}",
                v.control.family().name(),
                &*v.container,
                v.field,
                v.value.text()
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn settings_do_not_widen_what_a_profile_grants(
        pod in job_pod(),
        profile in any_profile(),
        level in select(LEVELS.to_vec()),
        annotations in annotations(),
    ) {
        let with = stored(&pod, &namespace(&profile.name, level, &annotations));
        let without = stored(&pod, &namespace(&profile.name, level, &[]));
        match (with, without) {
            (Ok((with, beyond)), Ok((without, before))) => {
                let devices: Vec<_> = [DEVICE].into_iter().chain(fuse_device(profile)).collect();
                let beside = |pod| beside_settings(pod, &devices);
                prop_assert_eq!(beside(&with), beside(&without), "{:?} {}", annotations, pod);
                prop_assert_eq!(beyond, before, "the same violates the level");
                // What could not run without settings may stay so.
                let had = refusals(&without);
                let new: Vec<_> =
                    refusals(&with).into_iter().filter(|problem| !had.contains(problem)).collect();
                prop_assert!(new.is_empty(), "{:?}: {:?}, {}", profile, new, pod);
            }
            (Err(message), _) | (_, Err(message)) => {
                prop_assert_eq!(unfit(&message), None, "{}", message);
            }
        }
    }

    #[test]
    fn no_setting_makes_a_container_root_that_would_not_be(
        pod in job_pod(),
        profile in any_profile(),
        user in prop_oneof![any::<i64>().prop_map(|n| n.to_string()), "[-+0 ]{0,3}[0-9]{1,6}", ".{0,8}"],
    ) {
        let annotations = [(RUN_AS_USER.to_owned(), user.clone())];
        let roots = |pod: &Value| {
            let users = view::containers(pod).chain([&pod["spec"]]);
            users.filter(|place| place["securityContext"]["runAsUser"] == 0).count()
        };
        let with = stored(&pod, &namespace(&profile.name, "privileged", &annotations));
        let without = stored(&pod, &namespace(&profile.name, "privileged", &[]));
        match (with, without) {
            (Ok((with, _)), Ok((without, _))) => {
                prop_assert_eq!(roots(&with), roots(&without), "{:?}", user);
                prop_assert!(user.parse().is_ok_and(|user: i64| (1..=65_535).contains(&user)));
            }
            (Err(message), _) | (_, Err(message)) => {
                prop_assert_eq!(unfit(&message), None, "{}", message);
            }
        }
    }

    #[test]
    fn a_namespace_rule_has_the_same_effect_as_the_same_values_on_the_namespace(
        pod in job_pod(),
        profile in any_profile(),
        level in select(LEVELS.to_vec()),
        annotations in annotations(),
    ) {
        let values = annotations.iter().map(|(key, value)| {
            let name = key.strip_prefix("podseal.io/").expect("a key of podseal's");
            (name.to_owned(), value.clone())
        });
        let values: std::collections::BTreeMap<_, _> = values.collect();
        let rules = json!({"rules": [
            {"name": "others", "namespaces": {"prefix": "other-"}, "profile": "none"},
            {"name": "jobs", "namespaces": {"prefix": "ci-job-"}, "profile": profile.name,
             "level": level, "settings": values},
        ]});
        let namespace_rules = NamespaceRules::from_yaml(&rules.to_string(), None).expect("rules");
        let none = NamespaceRules::default();
        let by_rule = Namespace::new("ci-job-17", [], []);
        let itself = namespace(&profile.name, level, &annotations);
        // Each is judged as its own webhook corrected it.
        let decided = |namespace: &Namespace, namespace_rules: &NamespaceRules| {
            let settings = settings(namespace_rules);
            let body = review_of(&pod).to_string();
            let request = Request::from_review(body.as_bytes()).expect("a review");
            let after = match mutate(request, namespace, &settings).outcome {
                // They name the rule, and the label.
                Outcome::Deny(_) => return None,
                Outcome::Mutate(patch) => patched(&pod, &patch),
                Outcome::Allow(_) => pod.clone(),
            };
            let body = review_of(&after).to_string();
            let request = Request::from_review(body.as_bytes()).expect("a review");
            let judged = validate(request, namespace, &settings);
            let passes = !matches!(judged.outcome, Outcome::Deny(_));
            Some((without_mark(after), passes, judged.changes.len(), violations(&judged)))
        };
        prop_assert_eq!(decided(&by_rule, &namespace_rules), decided(&itself, &none));
    }
}

#[test]
fn valid_settings_do_change_the_pod() {
    let pod = fixture("default-with-service");
    let values = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    };
    let changed = values(&[(RUN_AS_USER, "2000"), (HOME, "/work/home")]);
    let (after, _) = stored(&pod, &namespace("rootless", "baseline", &changed)).expect("a pod");
    let build = view::container(&after, "build");
    assert_eq!(build["securityContext"]["runAsUser"], 2000);
    assert_eq!(view::home(build), Some("/work/home"));
    assert!(view::volume_at(build, "/work/home").is_some());
    let renamed = values(&[(FUSE_RESOURCE, DEVICE)]);
    let (after, _) = stored(&pod, &namespace("root-fuse", "baseline", &renamed)).expect("a pod");
    let limits = &view::container(&after, "build")["resources"]["limits"];
    assert_eq!(
        (&limits[DEVICE], &limits["github.com/fuse"]),
        (&json!("1"), &Value::Null)
    );
}
