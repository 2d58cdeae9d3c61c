//! What custom profiles can set beyond the built-in ones, in the same format.

mod fields;
mod forged_mark;
mod mark;
mod users;

use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::fixture;
use cases::review::review_of;
use cases::view::View;
use serde_json::Value;

/// The pod as a profile of this YAML leaves it, which is then right.
fn corrected(pod: &Value, yaml: &str) -> View {
    let profile = Profile::from_yaml(&format!("name: custom\nsummary: a test\n{yaml}"));
    let profiles: Profiles = [profile.unwrap_or_else(|error| panic!("{error}"))]
        .into_iter()
        .collect();
    let settings = Settings {
        profiles: &profiles,
        require_runner: false,
        ..Settings::built_in()
    };
    let namespace = Namespace::new("gitlab-ci", [(PROFILE.to_owned(), "custom".to_owned())], []);
    let mut pod = pod.clone();
    for round in 0..2 {
        let text = review_of(&pod).to_string();
        let request = Request::from_review(text.as_bytes()).expect("a review");
        match mutate(request, &namespace, &settings).outcome {
            Outcome::Mutate(patch) if round == 0 => pod = patched(&pod, &patch),
            Outcome::Allow(Allowed::AlreadyRight) => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
    View(pod)
}

fn job() -> Value {
    fixture("default-with-service")
}

/// What each webhook decides on `pod` where the profile is as `yaml` has it, and
/// the pod as the correction leaves it.
fn decided(pod: &Value, yaml: &str) -> (Value, Outcome) {
    decided_at("baseline", pod, yaml)
}

fn decided_at(level: &str, pod: &Value, yaml: &str) -> (Value, Outcome) {
    let profile = Profile::from_yaml(&format!("name: custom\nsummary: a test\n{yaml}"));
    let profiles: Profiles = [profile.expect("a profile")].into_iter().collect();
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let labels = [(PROFILE, "custom"), (LEVEL, level)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let namespace = Namespace::new("gitlab-ci", labels, []);
    let text = review_of(pod).to_string();
    let request = || Request::from_review(text.as_bytes()).expect("a review");
    let after = match mutate(request(), &namespace, &settings).outcome {
        Outcome::Mutate(patch) => patched(pod, &patch),
        _ => pod.clone(),
    };
    (after, validate(request(), &namespace, &settings).outcome)
}

const OLD: &str = "extends: rootless\n";
