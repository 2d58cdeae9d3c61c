//! A folder of profile files: what is no profile is refused in a short sentence
//! and a short time, whatever it extends; what is one can be written down and read
//! again, and leaves a pod that needs no further patch, and no more of it where the
//! namespace has settings.
//!
//! The input is the files' texts, split at NUL.

#![no_main]

use std::sync::LazyLock;

use admission::decision::{Allowed, Outcome};
use admission::lint::exposure::{beyond, grants};
use admission::lint::files::{ProfileFile, read};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::profile::overrides::{FUSE_RESOURCE, HOME, RUN_AS_USER};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use admission::standards::Level;
use admission::validate::validate;
use cases::answer::patched;
use cases::job_log::unfit;
use cases::review::review_of;
use cases::widening::{beside_settings, fuse_device};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;

/// A sentence about a profile, with the lines of it that are wrong.
const LONGEST: usize = 2100;
/// How many files a folder has here, and of how many profiles the pods are made.
const FILES: usize = 6;
const TRIED: usize = 2;
/// What a namespace may call the fuse device.
const DEVICE: &str = "example.com/fuse";

static POD: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../tests/fixtures/pods/umask-collector.json");
    serde_json::from_str(text).expect("the fixture is JSON")
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let file = |(number, text): (usize, &str)| ProfileFile {
        name: format!("{number}.yaml"),
        text: text.to_owned(),
    };
    let files: Vec<_> = text.split('\0').take(FILES).enumerate().map(file).collect();
    let (profiles, remarks) = match read(&files) {
        Ok((profiles, remarks)) => (Some(profiles), remarks),
        Err(remarks) => {
            assert!(!remarks.is_empty(), "rejected without a reason");
            (None, remarks)
        }
    };
    for remark in remarks {
        let remark = remark.to_string();
        assert!(remark.len() < LONGEST, "{} bytes: {remark}", remark.len());
        let lines = remark.split('\n');
        let strange = lines.filter(|line| line.contains(char::is_control));
        assert_eq!(strange.count(), 0, "{remark:?}");
    }
    let Some(profiles) = profiles else {
        return Corpus::Keep;
    };
    for profile in profiles.custom() {
        can_be_written_and_read(profile);
        assert!(
            Level::ALL
                .into_iter()
                .all(|level| grants(profile, level).len() < 1000)
        );
        beyond(profile);
    }
    for profile in profiles.custom().take(TRIED) {
        for level in [None, Some("restricted")] {
            leaves_a_pod_that_is_right(&profiles, profile, level);
        }
    }
    Corpus::Keep
});

/// By itself: it contains the values of its base.
fn can_be_written_and_read(profile: &Profile) {
    let mut profile = profile.clone();
    profile.extends = None;
    let written = serde_saphyr::to_string(&profile).expect("a profile can be written");
    let read = Profile::from_yaml(&written)
        .unwrap_or_else(|error| panic!("what was written cannot be read: {error}\n{written}"));
    assert_eq!(read, profile, "{written}");
}

fn leaves_a_pod_that_is_right(profiles: &Profiles, profile: &Profile, level: Option<&str>) {
    let labels = [(PROFILE, Some(&*profile.name)), (LEVEL, level)];
    let labels = labels.map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    let labels = || labels.clone().into_iter().flatten();
    let plain = stored(profiles, &Namespace::new("ci", labels(), []));
    for (key, value) in [
        (RUN_AS_USER, "2000"),
        (HOME, "/work/home"),
        (FUSE_RESOURCE, DEVICE),
    ] {
        let annotations = [(key.to_owned(), value.to_owned())];
        let adjusted = stored(profiles, &Namespace::new("ci", labels(), annotations));
        if let (Some(plain), Some(adjusted)) = (&plain, adjusted) {
            let devices: Vec<_> = [DEVICE].into_iter().chain(fuse_device(profile)).collect();
            let beside = |pod| beside_settings(pod, &devices);
            assert_eq!(beside(plain), beside(&adjusted), "{key}");
        }
    }
}

/// The pod as it is stored, unless it is denied.
fn stored(profiles: &Profiles, namespace: &Namespace) -> Option<Value> {
    let settings = Settings {
        profiles,
        ..Settings::built_in()
    };
    let mut pod = POD.clone();
    for round in 0..2 {
        let body = review_of(&pod).to_string();
        let request = Request::from_review(body.as_bytes()).expect("a review");
        match mutate(request.clone(), namespace, &settings).outcome {
            Outcome::Mutate(patch) => {
                assert_eq!(round, 0, "a patched pod needs no patch: {patch}");
                pod = patched(&pod, &patch);
                continue;
            }
            Outcome::Allow(why) => assert_eq!(why, Allowed::AlreadyRight),
            Outcome::Deny(denial) => {
                assert_eq!(round, 0, "a patched pod is right: {}", denial.message);
                assert_eq!(unfit(&denial.message), None, "{}", denial.message);
                return None;
            }
        }
        let judged = validate(request, namespace, &settings);
        assert!(judged.changes.is_empty(), "{:?}", judged.changes);
    }
    Some(pod)
}
