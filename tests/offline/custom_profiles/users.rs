//! The user that a container runs as.

use admission::decision::Outcome;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use cases::fixture;
use cases::review::review_of;
use cases::view::container_mut;
use serde_json::{Value, json};

use super::{corrected, job};

#[test]
fn the_uid_collector_follows_build_despite_the_profiles_rules_for_init_containers() {
    let collector = "init-build-uid-gid-collector";
    let mut pod = fixture("umask-collector");
    for name in ["build", collector] {
        container_mut(&mut pod, name)["securityContext"] = json!({});
    }
    let yaml = "containers:
  build: {set: {securityContext: {privileged: false}}}
  init: {set: {securityContext: {runAsGroup: 5}}, ifUnset: {securityContext: {runAsUser: 1000}}}";
    let pod = corrected(&pod, yaml);
    assert_eq!((pod.uid("build"), pod.uid(collector)), (None, None));
    assert_eq!(pod.security(collector, "runAsGroup"), &Value::Null);
}

#[test]
fn the_uid_collector_follows_build_if_a_profile_sets_users_anywhere() {
    for rules in [
        "pod: {set: {securityContext: {runAsUser: 2000, runAsGroup: 7}}}",
        "pod: {ifUnset: {securityContext: {runAsUser: 2000}}}",
        "containers: {init: {set: {securityContext: {runAsUser: 2000}}}}",
        "containers: {init: {ifUnset: {securityContext: {runAsGroup: 7}}}}",
    ] {
        let pod = corrected(&fixture("umask-collector"), rules);
        for field in ["runAsUser", "runAsGroup", "runAsNonRoot"] {
            assert_eq!(
                pod.effective("init-build-uid-gid-collector", field),
                pod.effective("build", field),
                "{field}, {rules}"
            );
        }
    }
    let untouched = fixture("umask-collector");
    let rules = "containers: {helper: {home: true}}";
    let pod = corrected(&untouched, rules);
    assert_eq!(pod.uid("init-build-uid-gid-collector"), Some(1001));
}

#[test]
fn a_container_that_could_never_start_is_denied_if_the_profile_sets_its_user() {
    let denied = |pod: &Value, rules: &str| {
        let yaml = format!("name: custom\nsummary: a test\n{rules}\n");
        let profile = Profile::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}"));
        let profiles: Profiles = [profile].into_iter().collect();
        let settings = Settings {
            profiles: &profiles,
            ..Settings::built_in()
        };
        let label = (PROFILE.to_owned(), "custom".to_owned());
        let namespace = Namespace::new("gitlab-ci", [label], []);
        let text = review_of(pod).to_string();
        let request = Request::from_review(text.as_bytes()).expect("a review");
        match mutate(request, &namespace, &settings).outcome {
            Outcome::Deny(denial) => Some(denial.message),
            _ => None,
        }
    };
    let mut pod = job();
    pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    let root = "containers: {build: {set: {securityContext: {runAsUser: 0}}}}";
    let message = denied(&pod, root).expect("a denial");
    let why = "container \"build\", securityContext.runAsNonRoot: true together with runAsUser: 0, \
               and the kubelet never starts such a container; ";
    assert!(message.starts_with(why), "{message}");
    let both = "containers: {build: {set: {securityContext: {runAsUser: 0, runAsNonRoot: false}}}}";
    assert_eq!(denied(&pod, both), None);
    // What the profile does not set is left to the runner.
    pod["spec"]["securityContext"]["runAsUser"] = json!(0);
    assert_eq!(denied(&pod, "containers: {helper: {home: true}}"), None);
}
