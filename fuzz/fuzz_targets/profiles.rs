//! Profile files: what is no profile is refused in a short sentence and a short
//! time, what is one can be written down and read again, and leaves a pod that
//! needs no further patch.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use podseal::admission::judge::judge;
use podseal::admission::policy::{LEVEL, Namespace, PROFILE, Settings};
use podseal::admission::profile::{Profile, Profiles};
use podseal::admission::request::Request;
use podseal::admission::review::{Allowed, Outcome, correct};
use serde_json::Value;

#[path = "../../tests/support/answer.rs"]
mod answer;
#[path = "../../tests/support/job_log.rs"]
mod job_log;

use answer::{patched, review_of};
use job_log::unfit;

/// A sentence about a profile, with the lines of it that are wrong.
const LONGEST: usize = 2100;

static POD: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../tests/fixtures/pods/umask-collector.json");
    serde_json::from_str(text).expect("the fixture is JSON")
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let profile = match Profile::from_yaml(text) {
        Ok(profile) => profile,
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < LONGEST, "{} bytes: {error}", error.len());
            let lines = error.split('\n');
            let strange = lines.filter(|line| line.contains(char::is_control));
            assert_eq!(strange.count(), 0, "{error:?}");
            return Corpus::Keep;
        }
    };
    let written = serde_saphyr::to_string(&profile).expect("a profile can be written");
    let read = Profile::from_yaml(&written)
        .unwrap_or_else(|error| panic!("what was written cannot be read: {error}\n{written}"));
    assert_eq!(read, profile, "{written}");
    for level in [None, Some("restricted")] {
        leaves_a_pod_that_is_right(profile.clone(), level);
    }
    Corpus::Keep
});

fn leaves_a_pod_that_is_right(profile: Profile, level: Option<&str>) {
    let name = profile.name.clone();
    let profiles: Profiles = [profile].into_iter().collect();
    let settings = Settings {
        profiles: &profiles,
        require_runner: false,
    };
    let labels = [(PROFILE, Some(&*name)), (LEVEL, level)];
    let labels = labels.map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    let namespace = Namespace::new("ci", labels.into_iter().flatten(), []);
    let mut pod = POD.clone();
    for round in 0..2 {
        let body = review_of(&pod).to_string();
        let request = Request::from_review(body.as_bytes()).expect("a review");
        match correct(request.clone(), &namespace, &settings).outcome {
            Outcome::Mutate(patch) => {
                assert_eq!(round, 0, "a patched pod needs no patch: {patch}");
                pod = patched(&pod, &patch);
                continue;
            }
            Outcome::Allow(why) => assert_eq!(why, Allowed::AlreadyRight),
            Outcome::Deny(denial) => {
                assert_eq!(round, 0, "a patched pod is right: {}", denial.message);
                assert_eq!(unfit(&denial.message), None, "{}", denial.message);
                return;
            }
        }
        let judged = judge(request, &namespace, &settings);
        assert!(judged.changes.is_empty(), "{:?}", judged.changes);
        return;
    }
}
