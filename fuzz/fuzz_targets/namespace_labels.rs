//! A namespace's labels and annotations, by any author, and the namespace rule for
//! values that they do not set: an invalid value never relaxes anything.
//!
//! The input is a list of entries, split at NUL. The first byte of each says
//! what it is: `p`rofile, `l`evel, `m`ode or `r`unner; a setting (us`e`r, `h`ome,
//! `f`use); the `u`ser who asks; the namespace's `n`ame or `t`eam, which rules ask
//! for; a label (`o`) or an annotation (`a`) of podseal's that nobody knows; or
//! something that is not podseal's.

#![no_main]

use std::sync::LazyLock;

use admission::decision::{Answer, Decision, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::{Policy, Settings};
use admission::namespace::rules::NamespaceRules;
use admission::namespace::{LEVEL, MODE, Mode, Namespace, PROFILE, RUNNER};
use admission::profile::overrides::{FUSE_RESOURCE, HOME, RUN_AS_USER};
use admission::profile::{Profiles, Setting};
use admission::request::Request;
use admission::standards::Level;
use admission::validate::validate;
use cases::job_log::{LONGEST_WARNING, strange, unfit};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

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

/// podseal's own namespace, which no rule is for.
const OWN: &str = "ci-job-podseal";

static RULES: LazyLock<NamespaceRules> = LazyLock::new(|| {
    let rules = "rules:\n\
        - name: jobs\n  namespaces: {prefix: ci-job-}\n  profile: root-fuse\n\
        \x20 level: restricted\n  mode: audit\n  runner: runner\n\
        \x20 settings: {fuse-resource: example.com/fuse, run-as-user: '7'}\n\
        - name: team\n  namespaces: {matchLabels: {team: a}}\n  profile: gone\n\
        - name: both\n  namespaces: {prefix: c, matchLabels: {team: b}}\n\
        \x20 profile: rootless\n  level: privileged\n  settings: {home: /work/home}\n";
    NamespaceRules::from_yaml(rules, Some(OWN)).expect("rules")
});

struct Input {
    name: String,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    user: String,
}

impl Input {
    fn parse(text: &str) -> Input {
        let mut input = Input {
            name: "ci".to_owned(),
            labels: Vec::new(),
            annotations: Vec::new(),
            user: String::new(),
        };
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
                'e' => input.annotations.push((RUN_AS_USER.to_owned(), rest)),
                'h' => input.annotations.push((HOME.to_owned(), rest)),
                'f' => input.annotations.push((FUSE_RESOURCE.to_owned(), rest)),
                'u' => input.user = rest,
                'n' => input.name = rest,
                't' => input.labels.push(("team".to_owned(), rest)),
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
        self.with(self.labels.clone())
    }

    fn with(&self, labels: Vec<(String, String)>) -> Namespace {
        let annotations = self.annotations.clone();
        Namespace::keeping(self.name.clone(), labels, annotations, &RULES.label_keys())
    }

    /// The same without one label.
    fn without(&self, label: &str) -> Namespace {
        let others = self.labels.iter().filter(|(key, _)| key != label);
        self.with(others.cloned().collect())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let input = Input::parse(&String::from_utf8_lossy(bytes));
    let namespace = input.namespace();
    let settings = Settings {
        require_runner: bytes.len() % 2 == 1,
        namespace_rules: &RULES,
        ..Settings::built_in()
    };
    let ours = |key: &String| key.starts_with("podseal.io/");
    let kept = |key: &String| ours(key) || key == "team";
    assert!(namespace.labels.keys().all(kept) && namespace.annotations.keys().all(ours));
    let rule = rule_for(&namespace);
    let of_rule = |key: &str| {
        let mut values = rule?.iter();
        values
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    };
    // Where a rule applies, level and mode can only be stricter than its own.
    let label = |key: &str| {
        let own = namespace.labels.get(key).map(String::as_str);
        let (known, otherwise) = match key {
            LEVEL => (["privileged", "baseline", "restricted"], "baseline"),
            MODE => (["audit", "warn", "enforce"], "enforce"),
            _ => return own.or_else(|| of_rule(key)),
        };
        let rank = |value: &str| known.iter().position(|known| *known == value).unwrap_or(2);
        let by_rule = of_rule(key).unwrap_or(otherwise);
        own.filter(|own| rule.is_none() || rank(own) >= rank(by_rule))
            .or_else(|| of_rule(key))
    };

    let policy = Policy::from_namespace(&namespace, &settings);
    let is_left_alone = RULES.leaves_alone(&namespace.name);
    assert_eq!(policy.is_some(), label(PROFILE).is_some() && !is_left_alone);
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
    for setting in Setting::ALL {
        let key = setting.annotation();
        let own = namespace.annotations.get(key).map(String::as_str);
        assert_eq!(
            policy.setting(setting),
            own.or_else(|| of_rule(key)),
            "{key}"
        );
    }
    let known = Profiles::built_in().iter().find(|p| p.name == policy.name);
    assert_eq!(policy.profile, known);
    let runners = namespace.annotations.get(RUNNER).map(String::as_str);
    check_runners(&policy, of_rule(RUNNER).or(runners), &input.user);
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
            let about = format!("label {label}: \"");
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

/// The decisions of both webhooks on each pod that `user` creates.
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
        let corrected = mutate(request(), namespace, settings);
        [corrected, validate(request(), namespace, settings)]
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

/// The values of the rule for a namespace, as podseal's keys.
fn rule_for(namespace: &Namespace) -> Option<&'static [(&'static str, &'static str)]> {
    let name = namespace.name.as_str();
    let team = namespace.labels.get("team").map(String::as_str);
    let is_clusters_own = name.starts_with("kube-") || name.starts_with("openshift-");
    if namespace.labels.contains_key(PROFILE) || is_clusters_own || name == OWN {
        return None;
    }
    match team {
        _ if name.starts_with("ci-job-") => Some(&[
            (PROFILE, "root-fuse"),
            (LEVEL, "restricted"),
            (MODE, "audit"),
            (RUNNER, "runner"),
            (FUSE_RESOURCE, "example.com/fuse"),
            (RUN_AS_USER, "7"),
        ]),
        Some("a") => Some(&[(PROFILE, "gone")]),
        Some("b") if name.starts_with('c') => Some(&[
            (PROFILE, "rootless"),
            (LEVEL, "privileged"),
            (HOME, "/work/home"),
        ]),
        _ => None,
    }
}

fn check_runners(policy: &Policy<'_>, named: Option<&str>, user: &str) {
    let named: Option<Vec<&str>> = named.map(|users| users.split(',').map(str::trim).collect());
    match named {
        None => assert!(policy.is_runner(user) && policy.runner().is_none()),
        Some(named) => {
            assert!(!policy.is_runner(""), "an empty name");
            assert_eq!(
                policy.is_runner(user),
                !user.is_empty() && named.contains(&user)
            );
            assert!(!policy.trusts_labels());
        }
    }
}

fn check(decision: &Decision<'_>) {
    let for_creator = decision.warnings_for_creator();
    for warning in for_creator
        .iter()
        .map(String::as_str)
        .chain(decision.warnings())
    {
        check_warning(warning);
    }
    if let Outcome::Deny(denial) = &decision.outcome {
        assert_eq!(unfit(&denial.message), None, "{}", denial.message);
        assert_eq!((denial.code, denial.retry_after_seconds), (403, None));
    }
    if matches!(decision.answer(), Answer::Deny(_)) {
        assert!(
            decision.warnings_for_creator().is_empty(),
            "a denial is complete by itself"
        );
    }
}

fn check_warning(warning: &str) {
    assert_eq!(strange(warning), None, "{warning}");
    let length = warning.chars().count();
    assert!(length <= LONGEST_WARNING, "{length}: {warning}");
}
