//! The format of a profile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scalars;

#[cfg(test)]
use super::schema;
use super::security_context::SecurityContext;
use super::toleration::Toleration;
use crate::gitlab::role::Role;
use crate::pod::capability::same_capability;
use crate::standards::{Family, Level};
use crate::text::unquoted;

/// What podseal does to the job pods of a namespace that names this profile.
///
/// Rules under `set` override what the pod has. Rules under `ifUnset` apply where
/// neither the container nor the pod has a value.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// The value of the namespace label `podseal.io/profile`.
    pub name: String,
    /// The profile that this one extends: fields that are not set here are as they
    /// are there. Objects are merged key by key, lists and other values are replaced,
    /// and null removes a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// One line: when to use it.
    #[serde(default)]
    pub summary: String,
    /// HOME of jobs that do not set it, and the volumes that podseal adds.
    #[serde(default)]
    pub home: Home,
    /// Which values a namespace can override by its annotations.
    #[serde(default = "Setting::all")]
    pub settings: Vec<Setting>,
    /// Whether a user other than root that the pod has for `build` stays, and takes the
    /// place of every `runAsUser` here but 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_user: bool,
    /// Rules for the pod itself.
    #[serde(default)]
    pub pod: PodRules,
    /// Rules for its containers, by role.
    #[serde(default)]
    pub containers: ContainerRules,
    /// A hash of the resolved profile; not part of the file.
    #[serde(skip)]
    pub revision: u64,
    /// Whether it is compiled in; not part of the file.
    #[serde(skip)]
    pub built_in: bool,
}

/// HOME, and the volumes that podseal adds.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Home {
    /// The path, unless `build` sets its own `HOME`.
    pub path: String,
    /// `emptyDir.sizeLimit` of each volume. Podman keeps its images there, so without
    /// a limit a job can fill the node's disk.
    #[cfg_attr(test, schemars(with = "Option<schema::Quantity>"))]
    #[serde(
        deserialize_with = "scalars::quantity",
        skip_serializing_if = "Option::is_none"
    )]
    pub size_limit: Option<String>,
    /// `emptyDir.medium`: `Memory` is fast, and counts against the memory limits of
    /// the job's containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// The medium of an `emptyDir` that is not on the node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Medium {
    /// A tmpfs.
    Memory,
}

/// A value that a namespace can override by an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// `podseal.io/run-as-user`
    RunAsUser,
    /// `podseal.io/home`
    Home,
    /// `podseal.io/home-size`
    HomeSize,
    /// `podseal.io/fuse-resource`
    FuseResource,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Setting; 4] = [
        Setting::RunAsUser,
        Setting::Home,
        Setting::HomeSize,
        Setting::FuseResource,
    ];

    fn all() -> Vec<Setting> {
        Setting::ALL.into()
    }
}

impl Default for Home {
    fn default() -> Self {
        Home {
            path: "/my_custom_dir".to_owned(),
            size_limit: None,
            medium: None,
        }
    }
}

/// Rules for the pod itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PodRules {
    /// Fields that override those of the pod.
    pub set: PodFields,
    /// Fields that are set where the pod has none.
    #[serde(rename = "ifUnset", alias = "default")]
    pub if_unset: PodFields,
}

/// Fields of the pod itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PodFields {
    /// `metadata.annotations`
    #[serde(deserialize_with = "scalars::strings")]
    pub annotations: BTreeMap<String, String>,
    /// `spec.hostUsers`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// `spec.securityContext`
    pub security_context: SecurityContext,
    /// `spec.runtimeClassName`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// `spec.nodeSelector`
    #[serde(
        deserialize_with = "scalars::strings",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub node_selector: BTreeMap<String, String>,
    /// `spec.tolerations`, in `set` only: they are added to those of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
}

/// Rules by what a container is in the job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ContainerRules {
    /// The container that runs the job's script.
    pub build: Rules,
    /// The container that clones the repository and handles caches and artifacts.
    pub helper: Rules,
    /// The runner's own init containers: `init-permissions`,
    /// `init-build-uid-gid-collector` and `init-steps-bootstrap`.
    pub init: Rules,
    /// All other containers of the pod.
    pub services: Rules,
    /// Services by their image, such as `docker:*dind*`, instead of the rules of
    /// `services`. `*` stands for any characters but `/`, `:` and `@`. Of several patterns
    /// that match, the longest applies. The job's author chooses a service's image and its
    /// command, so a grant is for every job of the namespace.
    pub images: BTreeMap<String, Rules>,
    /// Init containers that are not the runner's, by their names, instead of the rules of
    /// `services`. Other webhooks and `pod_spec` of the runner's configuration add them.
    pub init_containers: BTreeMap<String, Rules>,
}

/// Rules for the containers of one role.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Fields that override those of the container.
    pub set: ContainerFields,
    /// Fields that are set where neither the container nor the pod has them.
    #[serde(rename = "ifUnset", alias = "default")]
    pub if_unset: ContainerFields,
    /// Capabilities, merged into those of the container.
    pub capabilities: Capabilities,
    /// Whether HOME is set, and a volume mounted there.
    pub home: bool,
    /// Paths at which an `emptyDir` is mounted, unless a volume is mounted at or around
    /// them.
    #[serde(rename = "emptyDirs")]
    pub empty_dirs: Vec<String>,
    /// Controls of the Pod Security Standards that these containers may violate.
    pub grants: Grants,
}

/// Controls of the Pod Security Standards that the profile may violate, by the level of
/// the namespace.
///
/// A grant never disables a control. At `restricted` it lowers the control to its
/// baseline form. At `baseline` it allows only the value that the profile itself sets.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Granted in a namespace at `baseline`.
    pub baseline: Vec<Family>,
    /// Granted in a namespace at `restricted`.
    pub restricted: Vec<Family>,
}

/// Fields of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ContainerFields {
    /// `securityContext`, without `capabilities`.
    pub security_context: SecurityContext,
    /// `env`, as name and value.
    #[serde(deserialize_with = "scalars::strings")]
    pub env: BTreeMap<String, String>,
    /// `resources`
    pub resources: Resources,
}

/// `resources` of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// `limits` of extended resources, such as a device plugin's. `cpu` and `memory`
    /// are set in the runner's configuration.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, schema::Quantity>"))]
    #[serde(deserialize_with = "scalars::quantities")]
    pub limits: BTreeMap<String, String>,
}

/// Capabilities that a profile adds and drops.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Appended to `add`, and removed from `drop`, but for `ALL`.
    pub add: Vec<String>,
    /// Appended to `drop`, and removed from `add`.
    pub drop: Vec<String>,
    /// Neither added nor removed, and granted with the control `capabilities` at
    /// `baseline`: for containers that another webhook adds.
    pub allow: Vec<String>,
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
    /// A name that is added or allowed as well as dropped. `ALL` may be dropped with it.
    pub(crate) fn in_both(&self) -> Option<&str> {
        let dropped = |name: &&String| self.drop.iter().any(|drop| same_capability(drop, name));
        let mut kept = self.add.iter().chain(&self.allow);
        kept.find(dropped).map(String::as_str)
    }
}

impl Profile {
    /// What it sets on `build` and `restricted` forbids without a grant: no job with
    /// it complies with that level. A user namespace permits root, unless nodes may
    /// ignore it.
    pub fn forbidden_at_restricted(&self, ignores_user_namespaces: bool) -> Option<String> {
        let build = &self.containers.build;
        let set = &build.set.security_context;
        let granted = |family| build.grants.restricted.contains(&family);
        let is_permitted = granted(Family::RunAsUser) && granted(Family::RunAsNonRoot)
            || self.has_own_user_namespace() && !ignores_user_namespaces;
        let is_root = set.run_as_user == Some(0) && !is_permitted;
        let added = &build.capabilities.add;
        let added = added.iter().find(|name| *name != "NET_BIND_SERVICE");
        if set.privileged == Some(true) {
            Some("privileged: true".to_owned())
        } else if is_root {
            Some("runAsUser: 0".to_owned())
        } else if set.allow_privilege_escalation == Some(true)
            && !granted(Family::AllowPrivilegeEscalation)
        {
            Some("allowPrivilegeEscalation: true".to_owned())
        } else {
            added
                .filter(|_| !granted(Family::Capabilities))
                .map(|name| format!("capabilities.add: {}", unquoted(name)))
        }
    }

    /// Whether its pods have their own user namespace.
    pub(crate) fn has_own_user_namespace(&self) -> bool {
        let default = self.pod.if_unset.host_users;
        self.pod.set.host_users.or(default) == Some(false)
    }

    /// Whether it grants, in a namespace at `level`, what `baseline` forbids. What is
    /// granted at `restricted` stays within `baseline`.
    pub fn grants_beyond_baseline(&self, level: Level) -> bool {
        let mut all = self.containers.all();
        level == Level::Baseline && all.any(|(_, rules)| !rules.grants.baseline.is_empty())
    }
}
