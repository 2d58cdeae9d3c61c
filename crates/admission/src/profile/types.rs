//! What a profile consists of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scalars;

#[cfg(test)]
use super::schema;
use super::security_context::SecurityContext;
use crate::gitlab::role::Role;
use crate::pod::capability::same_capability;
use crate::standards::{Family, Level};

/// What podseal does to the job pods of a namespace that names this profile.
///
/// Each rule either *sets* a field, winning over what the pod says, or says what
/// it is *if unset*: where neither the container nor the pod says anything.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// The value of the namespace label `podseal.io/profile`.
    pub name: String,
    /// The profile this one changes: what is not said here is as it is there.
    /// Objects are merged key by key; a list, and anything else, replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// One line: when to use it.
    #[serde(default)]
    pub summary: String,
    /// Where HOME is put when the job does not say.
    #[serde(default)]
    pub home: Home,
    /// Which values a namespace may change by its annotations.
    #[serde(default = "Setting::all")]
    pub settings: Vec<Setting>,
    /// What is done to the pod itself.
    #[serde(default)]
    pub pod: PodRules,
    /// What is done to its containers, by role.
    #[serde(default)]
    pub containers: ContainerRules,
    /// A number for what it says; nothing that anybody writes.
    #[serde(skip)]
    pub revision: u64,
}

/// The HOME rule's settings.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Home {
    /// The path used where `build` has no `HOME` of its own.
    pub path: String,
    /// `emptyDir.sizeLimit` of the volume mounted there. Podman keeps its
    /// images in HOME, so without a limit a job can fill the node's disk.
    #[cfg_attr(test, schemars(with = "Option<schema::Amount>"))]
    #[serde(
        deserialize_with = "scalars::amount",
        skip_serializing_if = "Option::is_none"
    )]
    pub size_limit: Option<String>,
    /// `emptyDir.medium`: `Memory` is fast, and counts as the job's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// What an emptyDir is kept on, if not on the node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Medium {
    /// A tmpfs.
    Memory,
}

/// A value that a namespace may change by an annotation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// `podseal.io/run-as-user`
    RunAsUser,
    /// `podseal.io/home`
    Home,
    /// `podseal.io/fuse-resource`
    FuseResource,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Setting; 3] = [Setting::RunAsUser, Setting::Home, Setting::FuseResource];

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
    /// Fields that win over what the pod says.
    pub set: PodFields,
    /// Fields filled in where the pod says nothing.
    #[serde(rename = "ifUnset", alias = "default")]
    pub if_unset: PodFields,
}

/// Fields of the pod itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PodFields {
    /// `metadata.annotations`
    #[serde(deserialize_with = "scalars::texts")]
    pub annotations: BTreeMap<String, String>,
    /// `spec.hostUsers`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// `spec.securityContext`
    pub security_context: SecurityContext,
}

/// Rules by the role a container plays in the job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Fields that win over what the container says.
    pub set: ContainerFields,
    /// Fields filled in where neither container nor pod say anything.
    #[serde(rename = "ifUnset", alias = "default")]
    pub if_unset: ContainerFields,
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
    #[serde(deserialize_with = "scalars::texts")]
    pub env: BTreeMap<String, String>,
    /// `resources`
    pub resources: Resources,
}

/// `resources` of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// `limits` of extended resources, such as a device plugin's. `cpu` and
    /// `memory` belong to the runner's configuration.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, schema::Amount>"))]
    #[serde(deserialize_with = "scalars::amounts")]
    pub limits: BTreeMap<String, String>,
}

/// Capabilities a profile adds and drops.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    pub(crate) fn in_both(&self) -> Option<&str> {
        let dropped = |name: &&String| self.drop.iter().any(|drop| same_capability(drop, name));
        self.add.iter().find(dropped).map(String::as_str)
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

    /// Whether its pods have a user namespace of their own.
    pub(crate) fn has_own_ids(&self) -> bool {
        let default = self.pod.if_unset.host_users;
        self.pod.set.host_users.or(default) == Some(false)
    }

    /// Whether it grants, in a namespace at `level`, what the baseline forbids.
    /// What is granted at restricted stays within the baseline.
    pub fn grants_beyond_baseline(&self, level: Level) -> bool {
        let grants = Role::ALL.map(|role| &self.containers.role(role).grants.baseline);
        level == Level::Baseline && grants.into_iter().any(|grants| !grants.is_empty())
    }
}
