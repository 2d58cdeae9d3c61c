//! The annotation that marks a corrected pod, while replicas have different versions
//! of a profile.

use admission::correct::marker::CORRECTED_AS;
use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use cases::answer::patched;
use cases::review::review_of;
use cases::view::container_mut;

use super::{OLD, decided, job};

const NEW: &str =
    "extends: rootless\ncontainers: {build: {set: {securityContext: {runAsUser: 1234}}}}\n";

#[test]
fn a_pod_that_another_version_of_the_profile_corrected_is_not_denied_as_changed() {
    for (before, after) in [(OLD, NEW), (NEW, OLD)] {
        let (pod, _) = decided(&job(), before);
        let (_, judged) = decided(&pod, after);
        assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
        let (_, judged) = decided(&pod, before);
        assert_eq!(judged, Outcome::Allow(Allowed::Complies));
    }
}

#[test]
fn a_pod_that_was_changed_after_the_correction_is_denied_despite_its_mark() {
    let (pod, _) = decided(&job(), OLD);
    let mut changed = pod.clone();
    container_mut(&mut changed, "build")["securityContext"]["runAsUser"] = 7.into();
    let (_, judged) = decided(&changed, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
    let mut unmarked = pod;
    let annotations = unmarked["metadata"]["annotations"].as_object_mut();
    let mark = annotations.expect("annotations").remove(CORRECTED_AS);
    assert!(mark.is_some());
    let (_, judged) = decided(&unmarked, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_mark_by_the_pods_author_is_overwritten_and_admits_nothing_that_the_level_forbids() {
    let mut pod = job();
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    assert_eq!(decided(&pod, OLD).0, decided(&job(), OLD).0);
    container_mut(&mut pod, "build")["securityContext"]["privileged"] = true.into();
    let (_, judged) = decided(&pod, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_built_in_profile_leaves_no_mark_since_only_another_podseal_could_change_it() {
    let text = review_of(&job()).to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let namespace = Namespace::new("ci", [(PROFILE.to_owned(), "rootless".to_owned())], []);
    let Outcome::Mutate(patch) = mutate(request, &namespace, &Settings::built_in()).outcome else {
        panic!("it is corrected");
    };
    let annotations = &patched(&job(), &patch)["metadata"]["annotations"];
    assert_eq!(annotations.get(CORRECTED_AS), None);
}

#[test]
fn a_pod_of_another_version_is_denied_only_for_what_the_level_forbids() {
    let plain = "containers: {build: {set: {securityContext: {privileged: false}}}}";
    let wide = "containers: {build: {set: {securityContext: {privileged: true}}}}";
    let caps = "containers: {build: {capabilities: {add: [SYS_ADMIN]}}}";
    for (corrects, judges, passes) in [
        (plain, wide, true),
        (plain, caps, true),
        (wide, plain, false),
        (caps, plain, false),
    ] {
        let (pod, _) = decided(&job(), corrects);
        let (_, judged) = decided(&pod, judges);
        let is_denied = matches!(judged, Outcome::Deny(_));
        assert_eq!(!is_denied, passes, "{corrects}, {judges}: {judged:?}");
    }
}

#[test]
fn without_a_correction_an_authors_mark_skips_only_the_comparison_with_the_profile() {
    let mut pod = job();
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    let (_, judged) = decided(&pod, OLD);
    assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
    pod["spec"]["hostPID"] = true.into();
    let (_, judged) = decided(&pod, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_pod_without_space_for_the_mark_is_denied_with_the_reason() {
    let mut pod = job();
    let annotations = &mut pod["metadata"]["annotations"];
    let size: usize = annotations
        .as_object()
        .expect("a map")
        .iter()
        .map(|(k, v)| k.len() + v.as_str().unwrap_or_default().len())
        .sum();
    annotations["a"] = "x".repeat(256 * 1024 - size - 1).into();
    let text = review_of(&pod).to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let profile =
        Profile::from_yaml(&format!("name: custom\nsummary: a test\n{OLD}")).expect("a profile");
    let profiles: Profiles = [profile].into_iter().collect();
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let namespace = Namespace::new("ci", [(PROFILE.to_owned(), "custom".to_owned())], []);
    let outcome = mutate(request, &namespace, &settings).outcome;
    let Outcome::Deny(denial) = outcome else {
        panic!("{outcome:?}")
    };
    let message = &denial.message;
    assert!(message.contains("metadata.annotations"), "{message}");
}
