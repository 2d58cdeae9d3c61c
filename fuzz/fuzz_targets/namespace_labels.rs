//! What a namespace's labels and annotations say, whoever wrote them: an invalid
//! value never relaxes anything.
//!
//! The input is a list of entries, split at NUL. The first byte of each says
//! what it is: `p`rofile, `l`evel, `m`ode or `r`unner; the `u`ser who asks; a
//! label (`o`) or an annotation (`a`) of podseal's that nobody knows; or
//! something that is not podseal's.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use podseal::admission::judge::judge;
use podseal::admission::pod_security::Level;
use podseal::admission::policy::{LEVEL, MODE, Mode, Namespace, PROFILE, Policy, RUNNER, Settings};
use podseal::admission::profile::Profiles;
use podseal::admission::request::Request;
use podseal::admission::review::{Answer, Decision, Outcome, correct};
use serde_json::json;

#[path = "../../tests/support/job_log.rs"]
mod job_log;

use job_log::{LONGEST_WARNING, strange, unfit};

/// A job's pod and a plain one that violates the baseline, and one that
/// violates restricted only.
static REVIEWS: LazyLock<[String; 3]> = LazyLock::new(|| {
    let violates = json!({"hostPID": true, "containers": [
        {"name": "build", "securityContext": {"privileged": true}}]});
    let plain = json!({"containers": [{"name": "app"}]});
    let job = json!({"labels": {"job.runner.gitlab.com/pod": "x"}});
    [
        json!({"metadata": job, "spec": violates}),
        json!({"spec": violates}),
        json!({"spec": plain}),
    ]
    .map(|pod| {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "705ab4f5", "operation": "CREATE", "namespace": "ci", "object": pod,
            "kind": {"group": "", "version": "v1", "kind": "Pod"}}})
        .to_string()
    })
});

#[derive(Default)]
struct Input {
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    user: String,
}

impl Input {
    fn parse(text: &str) -> Input {
        let mut input = Input::default();
        for entry in text.split('\0') {
            let Some(kind) = entry.chars().next() else {
                continue;
            };
            let rest = entry[kind.len_utf8()..].to_owned();
            let ours = |key: &str| format!("podseal.io/{key}");
            match kind {
                'p' => input.labels.push((PROFILE.to_owned(), rest)),
                'l' => input.labels.push((LEVEL.to_owned(), rest)),
                'm' => input.labels.push((MODE.to_owned(), rest)),
                'r' => input.annotations.push((RUNNER.to_owned(), rest)),
                'u' => input.user = rest,
                'o' => input.labels.push((ours("other"), rest)),
                'a' => input.annotations.push((ours("mode"), rest)),
                _ => {
                    input.labels.push((rest.clone(), rest.clone()));
                    input.annotations.push((entry.to_owned(), rest));
                }
            }
        }
        input
    }

    fn namespace(&self) -> Namespace {
        Namespace::new("ci", self.labels.clone(), self.annotations.clone())
    }

    /// The same without one label.
    fn without(&self, label: &str) -> Namespace {
        let others = self.labels.iter().filter(|(key, _)| key != label);
        Namespace::new(
            "ci",
            others.cloned().collect::<Vec<_>>(),
            self.annotations.clone(),
        )
    }
}

fuzz_target!(|bytes: &[u8]| {
    let input = Input::parse(&String::from_utf8_lossy(bytes));
    let namespace = input.namespace();
    let settings = Settings {
        require_runner: bytes.len() % 2 == 1,
        ..Settings::built_in()
    };
    let label = |key| namespace.labels.get(key).map(String::as_str);
    let ours = |key: &String| key.starts_with("podseal.io/");
    assert!(namespace.labels.keys().all(ours) && namespace.annotations.keys().all(ours));

    let policy = Policy::from_namespace(&namespace, &settings);
    assert_eq!(policy.is_some(), label(PROFILE).is_some());
    assert_eq!(policy.is_some(), namespace.opts_in());
    let decisions = decide(&namespace, &settings, &input.user);
    let Some(policy) = policy else {
        for decision in &decisions {
            assert!(matches!(decision.outcome, Outcome::Allow(_)));
        }
        return;
    };

    let level = match label(LEVEL) {
        None | Some("baseline") => Level::Baseline,
        Some("privileged") => Level::Privileged,
        Some(_) => Level::Restricted,
    };
    let mode = match label(MODE) {
        Some("warn") => Mode::Warn,
        Some("audit") => Mode::Audit,
        _ => Mode::Enforce,
    };
    assert_eq!((policy.level, policy.mode), (level, mode));
    let known = Profiles::built_in().iter().find(|p| p.name == policy.name);
    assert_eq!(policy.profile, known);
    check_runners(&policy, &namespace, &input.user);
    for warning in &policy.warnings {
        check_warning(warning);
    }

    for decision in &decisions {
        check(decision);
    }
    if policy.profile.is_none() || policy.trusts_labels() && settings.require_runner {
        assert!(decisions[0].job.is_none() || matches!(decisions[0].outcome, Outcome::Deny(_)));
    }
    for (label, invalid) in [
        (LEVEL, label(LEVEL).is_some_and(|v| !is_level(v))),
        (MODE, label(MODE).is_some_and(|v| !is_mode(v))),
    ] {
        if invalid {
            let about = format!("label {label}: ");
            let warned = policy.warnings.iter().filter(|w| w.starts_with(&about));
            assert_eq!(warned.count(), 1, "{:?}", policy.warnings);
            let without = input.without(label);
            let plain = decide(&without, &settings, &input.user);
            is_no_more_relaxed(&decisions, &plain);
        }
    }
});

fn is_level(value: &str) -> bool {
    ["privileged", "baseline", "restricted"].contains(&value)
}

fn is_mode(value: &str) -> bool {
    ["enforce", "warn", "audit"].contains(&value)
}

/// What both webhooks say to each pod that `user` creates.
fn decide<'a>(
    namespace: &'a Namespace,
    settings: &Settings<'a>,
    user: &'a str,
) -> Vec<Decision<'a>> {
    let reviews: &'static [String; 3] = &REVIEWS;
    let decide = |review: &'a String| {
        let request = || {
            let mut request = Request::from_review(review.as_bytes()).expect("a review");
            request.user_info.username = Some(user.into());
            request
        };
        let corrected = correct(request(), namespace, settings);
        [corrected, judge(request(), namespace, settings)]
    };
    reviews.iter().flat_map(decide).collect()
}

/// Of the decisions in the order of [`decide`]. The first, the correction of a
/// job, is left out: a stricter level may correct what a milder one denies, and
/// the judgement has the last word.
fn is_no_more_relaxed(strict: &[Decision<'_>], plain: &[Decision<'_>]) {
    for (strict, plain) in strict.iter().zip(plain).skip(1) {
        assert!(strict.violations.count >= plain.violations.count);
        let denies = |decision: &Decision<'_>| matches!(decision.answer(), Answer::Deny(_));
        assert!(denies(strict) || !denies(plain), "{strict:?}, {plain:?}");
    }
}

fn check_runners(policy: &Policy<'_>, namespace: &Namespace, user: &str) {
    let named: Option<Vec<&str>> = namespace
        .annotations
        .get(RUNNER)
        .map(|users| users.split(',').map(str::trim).collect());
    match named {
        None => assert!(policy.is_runner(user) && policy.runner().is_none()),
        Some(named) => {
            assert!(!policy.is_runner(""), "nobody's name");
            assert_eq!(
                policy.is_runner(user),
                !user.is_empty() && named.contains(&user)
            );
            assert!(!policy.trusts_labels());
        }
    }
}

fn check(decision: &Decision<'_>) {
    for warning in decision.told().iter().chain(&decision.warnings) {
        check_warning(warning);
    }
    if let Outcome::Deny(denial) = &decision.outcome {
        assert_eq!(unfit(&denial.message), None, "{}", denial.message);
        assert_eq!((denial.code, denial.retry_after_seconds), (403, None));
    }
    if matches!(decision.answer(), Answer::Deny(_)) {
        assert!(decision.told().is_empty(), "a denial says it all");
    }
}

fn check_warning(warning: &str) {
    assert_eq!(strange(warning), None, "{warning}");
    let length = warning.chars().count();
    assert!(length <= LONGEST_WARNING, "{length}: {warning}");
}
