//! The file of namespace rules: an invalid file is rejected with a short error in a short
//! time, and a valid one applies neither to the cluster's own namespaces nor to podseal's.
//!
//! The input is the file. After a NUL follows a namespace's name, and after another NUL
//! the value of its label `team`.

#![no_main]

use admission::namespace::policy::{Policy, Settings};
use admission::namespace::rules::{NamespaceRules, Rule};
use admission::namespace::{Namespace, PROFILE, is_clusters_own};
use admission::profile::{EffectiveProfile, Profiles};
use cases::job_log::strange;
use libfuzzer_sys::{Corpus, fuzz_target};

/// A sentence about the file.
const LONGEST: usize = 2100;
/// podseal's own namespace.
const OWN: &str = "podseal";

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let (name, team) = (parts.next().unwrap_or("ci-job-1"), parts.next());
    let namespace_rules = match NamespaceRules::from_yaml(file, Some(OWN)) {
        Ok(namespace_rules) => namespace_rules,
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < LONGEST, "{} bytes: {error}", error.len());
            let lines = error.split('\n');
            let strange = lines.filter(|line| line.contains(char::is_control));
            assert_eq!(strange.count(), 0, "{error:?}");
            return Corpus::Keep;
        }
    };
    let problem = namespace_rules.problem_with(Profiles::built_in());
    let messages = problem.iter().cloned().chain(namespace_rules.idle());
    for messages in messages {
        assert!(
            messages.len() < LONGEST && strange(&messages).is_none(),
            "{messages:?}"
        );
    }
    for rule in namespace_rules.rules() {
        assert_eq!(strange(&rule.name), None, "{}", rule.name);
        assert!(!rule.name.is_empty() && rule.name.len() < 64);
        let is_unknown = Profiles::built_in().get(&rule.profile).is_none();
        assert!(!is_unknown || problem.is_some(), "{}", rule.profile);
    }
    let labels = team.map(|team| ("team".to_owned(), team.to_owned()));
    for name in [
        name,
        "kube-system",
        "kube-ci-job-1",
        "openshift-ci",
        OWN,
        "a",
        "",
    ] {
        let keys = namespace_rules.label_keys();
        let namespace = Namespace::keeping(name, labels.clone(), [], &keys);
        let rule = namespace_rules.rule_for(&namespace);
        if is_clusters_own(name) || name == OWN {
            assert_eq!(rule, None, "{name}");
        }
        let first = namespace_rules
            .rules()
            .iter()
            .find(|rule| matches(rule, &namespace));
        assert!(rule.is_none() || rule == first, "the first that matches");
        is_what_the_rule_says(rule, &namespace, &namespace_rules);
    }
    Corpus::Keep
});

fn matches(rule: &Rule, namespace: &Namespace) -> bool {
    let prefix = rule.namespaces.prefix.clone().unwrap_or_default();
    let labels = &rule.namespaces.match_labels;
    assert!(
        !prefix.is_empty() || !labels.is_empty(),
        "it is for every namespace"
    );
    namespace.name.starts_with(&prefix)
        && labels
            .iter()
            .all(|(key, value)| namespace.labels.get(key) == Some(value))
}

fn is_what_the_rule_says(
    rule: Option<&Rule>,
    namespace: &Namespace,
    namespace_rules: &NamespaceRules,
) {
    let settings = Settings {
        namespace_rules,
        ..Settings::built_in()
    };
    let policy = Policy::from_namespace(namespace, &settings);
    if namespace.labels.contains_key(PROFILE) {
        return;
    }
    assert_eq!(policy.is_some(), rule.is_some());
    let (Some(policy), Some(rule)) = (policy, rule) else {
        return;
    };
    assert_eq!(policy.name, rule.profile);
    assert!(
        policy
            .warnings
            .iter()
            .all(|warning| strange(warning).is_none())
    );
    if let Some(profile) = policy.profile {
        let values = rule
            .settings
            .iter()
            .map(|(setting, value)| (*setting, value.as_str()));
        if let Err((_, why)) = EffectiveProfile::new(profile, values) {
            assert_eq!(strange(&why), None, "{why}");
        }
    }
}
