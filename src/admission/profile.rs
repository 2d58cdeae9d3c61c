//! The profile: what a namespace's job pods are given.
//!
//! A profile is data. The built-ins are the YAML files in `src/profiles`,
//! compiled in, and written in the same format a user would write.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::grants;
use super::home_path::HomePath;
use super::job::Role;
use super::plan::same_capability;
use super::pod_security::{Family, Level};
use super::security_context::SecurityContext;
use super::text::quoted;

/// What podseal does to the job pods of a namespace that names this profile.
///
/// Each rule either *sets* a field, winning over what the pod says, or
/// *defaults* it, filling in only where neither the container nor the pod says
/// anything.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// The value of the namespace label `podseal.io/profile`.
    pub name: String,
    /// One line: when to use it.
    pub summary: String,
    /// Where HOME is put when the job does not say.
    #[serde(default)]
    pub home: Home,
    /// What is done to the pod itself.
    #[serde(default)]
    pub pod: PodRules,
    /// What is done to its containers, by role.
    #[serde(default)]
    pub containers: ContainerRules,
}

/// The HOME rule's settings.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Home {
    /// The path used where `build` has no `HOME` of its own.
    pub path: String,
    /// `emptyDir.sizeLimit` of the volume mounted there. Podman keeps its
    /// images in HOME, so without a limit a job can fill the node's disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<String>,
}

impl Default for Home {
    fn default() -> Self {
        Home {
            path: "/my_custom_dir".to_owned(),
            size_limit: None,
        }
    }
}

/// Rules for the pod itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PodRules {
    /// Fields that win over what the pod says.
    pub set: PodFields,
    /// Fields filled in where the pod says nothing.
    pub default: PodFields,
}

/// Fields of the pod itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PodFields {
    /// `metadata.annotations`
    pub annotations: BTreeMap<String, String>,
    /// `spec.hostUsers`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// `spec.securityContext`
    pub security_context: SecurityContext,
}

/// Rules by the role a container plays in the job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerRules {
    /// The container the job's script runs in.
    pub build: Rules,
    /// The container that clones, caches and uploads.
    pub helper: Rules,
    /// The runner's own init containers, `init-*`.
    pub init: Rules,
    /// Everything else in the pod.
    pub services: Rules,
}

/// Rules for the containers of one role.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Fields that win over what the container says.
    pub set: ContainerFields,
    /// Fields filled in where neither container nor pod say anything.
    pub default: ContainerFields,
    /// Capabilities, merged into those the container lists.
    pub capabilities: Capabilities,
    /// Whether HOME is set, and a volume mounted there.
    pub home: bool,
    /// What the Pod Security Standards forbid and these containers may have.
    pub grants: Grants,
}

/// Controls of the Pod Security Standards that a profile needs out of its way,
/// by the level of the namespace at which it needs that.
///
/// A grant never switches a control off. At `restricted` it lowers the control
/// to its baseline form. At `baseline` it admits one value only, the one the
/// profile itself sets.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Granted in a namespace at `baseline`.
    pub baseline: Vec<Family>,
    /// Granted in a namespace at `restricted`.
    pub restricted: Vec<Family>,
}

/// Fields of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ContainerFields {
    /// `securityContext`, without `capabilities`.
    pub security_context: SecurityContext,
    /// `env`, as name and value.
    pub env: BTreeMap<String, String>,
    /// `resources`
    pub resources: Resources,
}

/// `resources` of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// `limits` of extended resources, such as a device plugin's. `cpu` and
    /// `memory` belong to the runner's configuration.
    pub limits: BTreeMap<String, String>,
}

/// Capabilities a profile adds and drops.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Appended to `add`, and taken out of `drop`; `ALL` there stays.
    pub add: Vec<String>,
    /// Appended to `drop`, and taken out of `add`.
    pub drop: Vec<String>,
}

impl ContainerRules {
    /// The rules for one role.
    pub fn role(&self, role: Role) -> &Rules {
        match role {
            Role::Build => &self.build,
            Role::Helper => &self.helper,
            Role::Init => &self.init,
            Role::Services => &self.services,
        }
    }
}

impl Capabilities {
    /// A name that is added and dropped. `ALL` may be dropped beside it.
    fn in_both(&self) -> Option<&str> {
        let dropped = |name: &&String| self.drop.iter().any(|drop| same_capability(drop, name));
        self.add.iter().find(dropped).map(String::as_str)
    }
}

/// How many bytes of a YAML error are told: it quotes the file, however long
/// its lines are.
const TOLD: usize = 2000;

fn beginning(error: &str) -> &str {
    &error[..error.floor_char_boundary(TOLD)]
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not YAML, or not a profile.
    #[error("not a profile: {}", beginning(&.0.to_string()))]
    Yaml(#[from] serde_saphyr::Error),
    /// Names a limit that is no extended resource.
    #[error(
        "resources.limits: {} is not an extended resource (a qualified name such as \
         github.com/fuse, outside kubernetes.io); leave cpu and memory to the runner's config.toml",
        quoted(.0)
    )]
    NotExtended(String),
    /// Asks for a capability and for its absence.
    #[error("capabilities: {} is in both add and drop", quoted(.0))]
    AddedAndDropped(String),
    /// Says HOME twice, in two ways.
    #[error("env HOME: beside home: true; say home.path instead")]
    HomeInEnv,
    /// Grants at baseline what no profile can set, so no value could be admitted.
    #[error("grants.baseline: {0} is nothing a profile sets, so there is no value to admit")]
    Unsettable(&'static str),
    /// `home.path` is one the HOME rule itself would refuse.
    #[error("home.path: {0}")]
    Home(String),
}

impl Profile {
    /// Reads one profile.
    pub fn from_yaml(yaml: &str) -> Result<Profile, ProfileError> {
        let profile: Profile = serde_saphyr::from_str(yaml)?;
        for role in Role::ALL {
            let rules = profile.containers.role(role);
            for fields in [&rules.set, &rules.default] {
                let mut names = fields.resources.limits.keys();
                if let Some(name) = names.find(|name| !is_extended_resource(name)) {
                    return Err(ProfileError::NotExtended(name.clone()));
                }
            }
            // Either of these two would be corrected once more at every look.
            if let Some(name) = rules.capabilities.in_both() {
                return Err(ProfileError::AddedAndDropped(name.to_owned()));
            }
            if rules.home && rules.set.env.contains_key("HOME") {
                return Err(ProfileError::HomeInEnv);
            }
        }
        let granted = Role::ALL.map(|role| &profile.containers.role(role).grants.baseline);
        if let Some(family) = granted
            .into_iter()
            .flatten()
            .find(|f| !grants::is_settable(**f))
        {
            return Err(ProfileError::Unsettable(family.name()));
        }
        match HomePath::parse(&profile.home.path) {
            Ok(HomePath::Mountable(_)) => Ok(profile),
            Ok(HomePath::OfPodmanImage) => Err(ProfileError::Home(
                "is inside /home/podman, where a volume would hide the image's own configuration"
                    .to_owned(),
            )),
            Err(refusal) => Err(ProfileError::Home(refusal.to_string())),
        }
    }
}

impl Profile {
    /// Whether a job can meet `restricted` with it: what it sets on `build` is
    /// either within that level or granted.
    pub fn can_meet_restricted(&self) -> bool {
        let build = &self.containers.build;
        let set = &build.set.security_context;
        let granted = |family| build.grants.restricted.contains(&family);
        let escalates = set.allow_privilege_escalation == Some(true);
        let adds = build
            .capabilities
            .add
            .iter()
            .any(|name| name != "NET_BIND_SERVICE");
        set.privileged != Some(true)
            && set.run_as_user != Some(0)
            && (!escalates || granted(Family::AllowPrivilegeEscalation))
            && (!adds || granted(Family::Capabilities))
    }

    /// Whether it grants, in a namespace at `level`, what the baseline forbids.
    /// What is granted at restricted stays within the baseline.
    pub fn grants_beyond_baseline(&self, level: Level) -> bool {
        let grants = Role::ALL.map(|role| &self.containers.role(role).grants.baseline);
        level == Level::Baseline && grants.into_iter().any(|grants| !grants.is_empty())
    }
}

/// Whether `name` is an extended resource (Kubernetes, "Resource Management for
/// Pods and Containers", v1.37): qualified, and outside `kubernetes.io`.
fn is_extended_resource(name: &str) -> bool {
    match name.split_once('/') {
        Some((domain, rest)) => {
            !rest.is_empty() && domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io")
        }
        None => false,
    }
}

/// The profiles a namespace can name.
#[derive(Debug, Clone)]
pub struct Profiles(Vec<Profile>);

/// The built-in profiles: name, and the YAML as it stands in `src/profiles`.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("userns", include_str!("../profiles/userns.yaml")),
    ("rootless", include_str!("../profiles/rootless.yaml")),
    ("root-fuse", include_str!("../profiles/root-fuse.yaml")),
    ("openshift", include_str!("../profiles/openshift.yaml")),
    ("privileged", include_str!("../profiles/privileged.yaml")),
    ("none", include_str!("../profiles/none.yaml")),
];

static BUILT_IN_PROFILES: LazyLock<Profiles> = LazyLock::new(|| {
    let parse = |(name, yaml)| {
        let profile = Profile::from_yaml(yaml)
            .unwrap_or_else(|error| panic!("built-in profile {name}: {error}"));
        assert_eq!(
            profile.name, name,
            "a built-in profile is named as its file"
        );
        profile
    };
    Profiles(BUILT_IN.map(parse).into())
});

impl FromIterator<Profile> for Profiles {
    fn from_iter<I: IntoIterator<Item = Profile>>(profiles: I) -> Self {
        Profiles(profiles.into_iter().collect())
    }
}

impl Profiles {
    /// The built-in profiles.
    pub fn built_in() -> &'static Profiles {
        &BUILT_IN_PROFILES
    }

    /// The profile called `name`.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.iter().find(|profile| profile.name == name)
    }

    /// All of them, the least privileged first.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.iter()
    }

    /// Their names, for a message: `userns, rootless, …`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.iter().map(|profile| profile.name.as_str()).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_one_a_user_could_have_written() {
        for (name, _) in BUILT_IN {
            assert!(Profiles::built_in().get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_misspelt_field_is_refused_with_its_place() {
        let yaml =
            "name: x\nsummary: y\ncontainers:\n  build:\n    set:\n      securtyContext: {}\n";
        let error = Profile::from_yaml(yaml).expect_err("refused").to_string();
        assert!(
            error.contains("securtyContext") && error.contains('6'),
            "{error}"
        );
    }

    #[test]
    fn a_limit_on_memory_is_refused_since_it_could_fall_below_the_request() {
        let yaml = "name: x\nsummary: y\ncontainers: {build: {set: {resources: {limits: {memory: 1Gi}}}}}\n";
        let error = Profile::from_yaml(yaml).expect_err("refused").to_string();
        assert!(error.contains("config.toml"), "{error}");
    }

    #[test]
    fn a_home_that_the_rule_would_refuse_in_a_job_is_refused_in_a_profile() {
        for path in ["/", "home", "/etc/podman", "/home/podman"] {
            let yaml = format!("name: x\nsummary: y\nhome: {{path: {path}}}\n");
            assert!(Profile::from_yaml(&yaml).is_err(), "{path}");
        }
    }

    #[test]
    fn a_profile_that_contradicts_itself_is_refused_since_no_pod_would_ever_be_right() {
        for (rules, why) in [
            (
                "{capabilities: {add: [SETUID], drop: [cap_setuid]}}",
                "\"SETUID\" is in both add and drop",
            ),
            (
                "{capabilities: {add: [ALL], drop: [ALL]}}",
                "is in both add and drop",
            ),
            (
                "{home: true, set: {env: {HOME: /a}}}",
                "say home.path instead",
            ),
        ] {
            let yaml = format!("name: x\nsummary: y\ncontainers: {{helper: {rules}}}\n");
            let error = Profile::from_yaml(&yaml).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_error_is_short_however_long_the_file_is() {
        let long = "x".repeat(100_000);
        for yaml in [
            format!("name: x\nsummary: y\n{long}: z\n"),
            format!("name: x\nsummary: y\nhome: [{long}\n"),
            format!(
                "name: x\nsummary: y\ncontainers: {{build: {{set: {{resources: {{limits: {{{long}: 1}}}}}}}}}}\n"
            ),
        ] {
            let error = Profile::from_yaml(&yaml).expect_err("refused").to_string();
            assert!(error.len() < 2100, "{} bytes", error.len());
        }
    }
}
