//! The values that apply in the namespace, and their sources.

use serde::Serialize;

use super::inputs::Inputs;
use super::profile_sources::{FieldSource, ProfileSources};
use admission::namespace::label::Source;
use admission::namespace::policy::Policy;
use admission::namespace::unknown_keys;
use admission::namespace::unknown_keys::Kind;
use admission::namespace::{LEVEL, Label, MODE, PROFILE, RUNNER, STRICT, is_clusters_own};
use admission::profile::{Profile, Setting};
use admission::text::bounded;

/// A value and its source.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExplainedValue {
    pub(super) name: &'static str,
    pub(super) value: Option<String>,
    /// `label`, `annotation`, `rule`, `argument`, `profile` or `podseal`.
    pub(super) source: &'static str,
    /// The label or annotation, whether or not the namespace has it.
    pub(super) key: &'static str,
    /// The namespace rule that sets it, if one does.
    pub(super) rule: Option<String>,
    /// The command-line argument that sets it, if one does.
    pub(super) argument: Option<&'static str>,
    /// Why the value is not used in this pod, as a clause.
    pub(super) unused: Option<String>,
    /// The profile's values and their positions; several if containers differ.
    pub(super) in_profile: Vec<ProfileValue>,
    /// For the table: an explanation if nothing sets the value.
    #[serde(skip)]
    pub(super) remark: Option<String>,
}

/// The profile's own value of a setting.
#[derive(Serialize)]
pub(super) struct ProfileValue {
    pub(super) value: String,
    #[serde(flatten)]
    pub(super) place: FieldSource,
}

/// Every value of the namespace; if it has no profile, the reason.
pub(super) fn values(
    policy: Option<&Policy<'_>>,
    inputs: &Inputs<'_>,
    sources: &ProfileSources<'_>,
) -> Vec<ExplainedValue> {
    let Some(policy) = policy else {
        return vec![value_without_profile(inputs)];
    };
    let profile = value_from(
        inputs,
        "profile",
        PROFILE,
        policy.source_of_label(Label::Profile),
    );
    let level = value_from(inputs, "level", LEVEL, policy.source_of_label(Label::Level));
    let mode = value_from(inputs, "mode", MODE, policy.source_of_label(Label::Mode));
    let strict = policy.source_of_label(Label::Strict);
    let strict = value_from(inputs, "strict", STRICT, strict);
    let runner = value_from(inputs, "runner", RUNNER, policy.source_of_runner());
    let shown = |text: &str| Some(bounded(text).into_owned());
    let runners = policy.source_of_runner() != Source::Default;
    let mut values = vec![
        ExplainedValue {
            value: shown(policy.name),
            remark: policy
                .profile
                .is_none()
                .then(|| "there is no such profile".to_owned()),
            ..profile
        },
        ExplainedValue {
            value: shown(policy.level.name()),
            ..level
        },
        ExplainedValue {
            value: shown(policy.mode.name()),
            ..mode
        },
        ExplainedValue {
            value: shown(&policy.strict.to_string()),
            ..strict
        },
        ExplainedValue {
            value: policy.runners().and_then(shown),
            remark: (!runners).then(|| {
                let needed = inputs.settings.require_runner && policy.trusts_labels();
                if needed {
                    "no one, so jobs are denied (--require-runner)".to_owned()
                } else {
                    "anyone who creates a pod with a job's labels".to_owned()
                }
            }),
            ..runner
        },
    ];
    for setting in Setting::ALL {
        values.push(of_setting(setting, policy, inputs, sources));
    }
    values
}

fn of_setting(
    setting: Setting,
    policy: &Policy<'_>,
    inputs: &Inputs<'_>,
    sources: &ProfileSources<'_>,
) -> ExplainedValue {
    let key = setting.annotation();
    let mut explained = value_from(inputs, setting.name(), key, policy.source_of(setting));
    let in_profile = match policy.profile {
        None => Ok(Vec::new()),
        Some(profile) => in_profile(setting, profile, sources),
    };
    explained.value = policy
        .setting(setting)
        .map(|text| bounded(text).into_owned());
    let is_unset = explained.value.is_none();
    match in_profile {
        Ok(in_profile) => {
            if is_unset && !in_profile.is_empty() {
                let all: Vec<_> = in_profile
                    .iter()
                    .map(|explained| explained.value.clone())
                    .collect();
                explained.value = Some(all.join(", "));
                explained.source = "profile";
            }
            if setting == Setting::HomeSize && explained.value.is_none() {
                explained.remark = Some("no limit".to_owned());
            }
            explained.in_profile = in_profile;
        }
        Err(why) if is_unset => explained.remark = Some(why.to_owned()),
        Err(_) => {}
    }
    if setting == Setting::RunAsUser {
        let kept = inputs.kept_user;
        explained.unused = kept.map(|user| format!("build keeps its own user, {user} (keepUser)"));
    }
    let profile = policy.profile.filter(|profile| profile.sets_home());
    if let (Setting::Home, Some(profile)) = (setting, profile) {
        let path = &profile.home.path;
        if !is_unset && explained.in_profile.is_empty() {
            explained.remark = Some(format!("overrides {path}: podseal's default"));
        }
        explained.value = Some(explained.value.unwrap_or_else(|| path.clone()));
        let home = inputs.jobs_home.map(bounded);
        explained.unused = home.map(|home| format!("build sets its own HOME, {home}"));
    }
    explained
}

/// The profile's values of a setting, or why it has none.
fn in_profile(
    setting: Setting,
    profile: &Profile,
    sources: &ProfileSources<'_>,
) -> Result<Vec<ProfileValue>, &'static str> {
    let at = |value: String, path: &[&str]| ProfileValue {
        value,
        place: sources.at(profile, path),
    };
    match setting {
        Setting::RunAsUser => {
            let users = profile.users();
            let all = users.iter().map(|(user, path)| at(user.to_string(), path));
            let all: Vec<_> = all.collect();
            match all.is_empty() {
                true => Err("the profile sets no user other than root"),
                false => Ok(all),
            }
        }
        Setting::Home if profile.sets_home() => {
            let path = ["home", "path"];
            let explained = sources.says(profile, &path);
            let explained = explained.then(|| at(profile.home.path.clone(), &path));
            Ok(explained.into_iter().collect())
        }
        Setting::Home => Err("the profile sets no HOME"),
        Setting::HomeSize if profile.adds_volumes() => {
            let limit = profile.home.size_limit.clone();
            let limit = limit.map(|limit| at(limit, &["home", "sizeLimit"]));
            Ok(limit.into_iter().collect())
        }
        Setting::HomeSize => Err("the profile adds no volume"),
        Setting::FuseResource => {
            let named = profile.fuse_resource().zip(profile.fuse_resource_path());
            let (name, path) = named.ok_or("the profile requests no fuse device")?;
            Ok(vec![at(name.to_owned(), &path)])
        }
    }
}

/// The value of a namespace without a profile.
fn value_without_profile(inputs: &Inputs<'_>) -> ExplainedValue {
    let rules = inputs.settings.namespace_rules.rules().len();
    let remark = match rules {
        _ if is_clusters_own(&inputs.namespace.name) => {
            "namespace rules do not apply to the cluster's own namespaces".to_owned()
        }
        0 => format!("no label {PROFILE}, and no namespace rules"),
        1 => format!("no label {PROFILE}, and the only namespace rule does not match"),
        rules => format!("no label {PROFILE}, and none of the {rules} namespace rules matches"),
    };
    ExplainedValue {
        remark: Some(remark),
        ..value_from(inputs, "profile", PROFILE, Source::Default)
    }
}

fn value_from(
    inputs: &Inputs<'_>,
    name: &'static str,
    key: &'static str,
    source: Source<'_>,
) -> ExplainedValue {
    let argument = match source {
        Source::Label | Source::Annotation => inputs.arguments.get(key).copied(),
        Source::Rule(_) | Source::Default => None,
    };
    ExplainedValue {
        name,
        value: None,
        source: match (source, argument) {
            (_, Some(_)) => "argument",
            (Source::Label, _) => "label",
            (Source::Annotation, _) => "annotation",
            (Source::Rule(_), _) => "rule",
            (Source::Default, _) => "podseal",
        },
        key,
        rule: match source {
            Source::Rule(rule) => Some(rule.to_owned()),
            _ => None,
        },
        argument,
        unused: None,
        in_profile: Vec::new(),
        remark: None,
    }
}

/// The keys of the namespace with the prefix `podseal.io/` that have no effect: for
/// example misspelt ones, labels that must be annotations, or without a profile.
pub(super) fn unread(inputs: &Inputs<'_>, opts_in: bool) -> Vec<String> {
    let (namespace, namespace_rules) = (inputs.namespace, inputs.settings.namespace_rules);
    let shown = |(kind, key): (Kind, &str)| format!("{} {}", kind.name(), bounded(key));
    let annotations = namespace.annotations.keys().map(String::as_str);
    // A level or mode without a profile has its own warning.
    let mut unread: Vec<_> = unknown_keys::unread(namespace, namespace_rules).collect();
    if !opts_in {
        unread.retain(|(kind, _)| *kind == Kind::Label);
        unread.extend(annotations.map(|key| (Kind::Annotation, key)));
    }
    unread.into_iter().map(shown).collect()
}
