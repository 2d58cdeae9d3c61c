//! What holds in the namespace, and who says so.

use serde::Serialize;

use super::Asking;
use super::profile_lines::{Place, Places};
use admission::policy::{LEVEL, MODE, PROFILE, Policy, RUNNER, Source, is_clusters_own};
use admission::profile::{Profile, Setting};
use admission::text::bounded;
use admission::unread::{self, Kind};

/// A value, and who says it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    pub(super) name: &'static str,
    pub(super) value: Option<String>,
    /// `label`, `annotation`, `rule`, `argument`, `profile` or `podseal`.
    pub(super) source: &'static str,
    /// The label or annotation, whether or not the namespace has it.
    pub(super) key: &'static str,
    /// The default rule, where it is a rule's.
    pub(super) rule: Option<String>,
    /// The argument of the command line, where it is one's.
    pub(super) argument: Option<&'static str>,
    /// Why the value is not used in this pod, as a clause.
    pub(super) unused: Option<String>,
    /// What the profile says, and where; more than one where it says several.
    pub(super) in_profile: Vec<InProfile>,
    /// For people: what is to be known where nobody says it.
    #[serde(skip)]
    pub(super) remark: Option<String>,
}

/// The profile's own value of a setting.
#[derive(Serialize)]
pub(super) struct InProfile {
    pub(super) value: String,
    #[serde(flatten)]
    pub(super) place: Place,
}

/// Every value of the namespace; of one that does not opt in, why.
pub(super) fn values(
    policy: Option<&Policy<'_>>,
    asking: &Asking<'_>,
    places: &Places<'_>,
) -> Vec<Said> {
    let Some(policy) = policy else {
        return vec![none(asking)];
    };
    let profile = by(asking, "profile", PROFILE, policy.source_of_label(PROFILE));
    let level = by(asking, "level", LEVEL, policy.source_of_label(LEVEL));
    let mode = by(asking, "mode", MODE, policy.source_of_label(MODE));
    let runner = by(asking, "runner", RUNNER, policy.source_of_runner());
    let shown = |text: &str| Some(bounded(text).into_owned());
    let runners = policy.source_of_runner() != Source::Nobody;
    let mut values = vec![
        Said {
            value: shown(policy.name),
            remark: policy
                .profile
                .is_none()
                .then(|| "there is no such profile".to_owned()),
            ..profile
        },
        Said {
            value: shown(policy.level.name()),
            ..level
        },
        Said {
            value: shown(policy.mode.name()),
            ..mode
        },
        Said {
            value: policy.runners().and_then(shown),
            remark: (!runners).then(|| {
                let needed = asking.settings.require_runner && policy.trusts_labels();
                if needed {
                    "no one, so jobs are denied (--require-runner)".to_owned()
                } else {
                    "whoever creates a pod with a job's labels".to_owned()
                }
            }),
            ..runner
        },
    ];
    for setting in Setting::ALL {
        values.push(of_setting(setting, policy, asking, places));
    }
    values
}

fn of_setting(
    setting: Setting,
    policy: &Policy<'_>,
    asking: &Asking<'_>,
    places: &Places<'_>,
) -> Said {
    let key = setting.annotation();
    let mut said = by(asking, setting.name(), key, policy.source_of(setting));
    let in_profile = match policy.profile {
        None => Ok(Vec::new()),
        Some(profile) => in_profile(setting, profile, places),
    };
    said.value = policy
        .setting(setting)
        .map(|text| bounded(text).into_owned());
    let nobody = said.value.is_none();
    match in_profile {
        Ok(in_profile) => {
            if nobody && !in_profile.is_empty() {
                let all: Vec<_> = in_profile.iter().map(|said| said.value.clone()).collect();
                said.value = Some(all.join(", "));
                said.source = "profile";
            }
            said.in_profile = in_profile;
        }
        Err(why) if nobody => said.remark = Some(why.to_owned()),
        Err(_) => {}
    }
    let profile = policy.profile.filter(|profile| profile.gives_home());
    if let (Setting::Home, Some(profile)) = (setting, profile) {
        let path = &profile.home.path;
        if !nobody && said.in_profile.is_empty() {
            said.remark = Some(format!("over {path}: podseal's default"));
        }
        said.value = Some(said.value.unwrap_or_else(|| path.clone()));
        let home = asking.jobs_home.map(bounded);
        said.unused = home.map(|home| format!("build has the HOME {home} of its own"));
    }
    said
}

/// What the profile says of a setting, or why it says nothing.
fn in_profile(
    setting: Setting,
    profile: &Profile,
    places: &Places<'_>,
) -> Result<Vec<InProfile>, &'static str> {
    let at = |value: String, path: &[&str]| InProfile {
        value,
        place: places.at(profile, path),
    };
    match setting {
        Setting::RunAsUser => {
            let users = profile.users();
            let all = users.iter().map(|(user, path)| at(user.to_string(), path));
            let all: Vec<_> = all.collect();
            match all.is_empty() {
                true => Err("the profile names no user, or only root"),
                false => Ok(all),
            }
        }
        Setting::Home if profile.gives_home() => {
            let path = ["home", "path"];
            let said = places.says(profile, &path);
            let said = said.then(|| at(profile.home.path.clone(), &path));
            Ok(said.into_iter().collect())
        }
        Setting::Home => Err("the profile gives no container a HOME"),
        Setting::FuseResource => {
            let named = profile.fuse_resource().zip(profile.path_of_fuse());
            let (name, path) = named.ok_or("the profile asks for no fuse device")?;
            Ok(vec![at(name.to_owned(), &path)])
        }
    }
}

/// The values of a namespace that nobody gives a profile.
fn none(asking: &Asking<'_>) -> Said {
    let rules = asking.settings.defaults.rules().len();
    let remark = match rules {
        _ if is_clusters_own(&asking.namespace.name) => {
            "the namespace is the cluster's own, which no default rule is for".to_owned()
        }
        0 => format!("no label {PROFILE}, and there are no default rules"),
        1 => format!("no label {PROFILE}, and the one default rule is for others"),
        rules => format!("no label {PROFILE}, and the {rules} default rules are for others"),
    };
    Said {
        remark: Some(remark),
        ..by(asking, "profile", PROFILE, Source::Nobody)
    }
}

fn by(asking: &Asking<'_>, name: &'static str, key: &'static str, source: Source<'_>) -> Said {
    let argument = match source {
        Source::Label | Source::Annotation => asking.arguments.get(key).copied(),
        Source::Rule(_) | Source::Nobody => None,
    };
    Said {
        name,
        value: None,
        source: match (source, argument) {
            (_, Some(_)) => "argument",
            (Source::Label, _) => "label",
            (Source::Annotation, _) => "annotation",
            (Source::Rule(_), _) => "rule",
            (Source::Nobody, _) => "podseal",
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

/// The keys of the namespace that begin with `podseal.io/` and mean nothing
/// there: misspelt, a label for an annotation, or of a namespace without a profile.
pub(super) fn unread(asking: &Asking<'_>, opts_in: bool) -> Vec<String> {
    let (namespace, defaults) = (asking.namespace, asking.settings.defaults);
    let shown = |(kind, key): (Kind, &str)| format!("{} {}", kind.name(), bounded(key));
    let annotations = namespace.annotations.keys().map(String::as_str);
    // Of a level or mode without a profile there is a warning.
    let mut unread: Vec<_> = unread::unread(namespace, defaults).collect();
    if !opts_in {
        unread.retain(|(kind, _)| *kind == Kind::Label);
        unread.extend(annotations.map(|key| (Kind::Annotation, key)));
    }
    unread.into_iter().map(shown).collect()
}
