//! `securityContext` in a profile.

use serde::{Deserialize, Serialize};

use crate::pod::field::{Confinement, Field, Scalar};
use crate::text::Text;

/// The fields of `securityContext` that a profile can set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Kubernetes' own, documented there"
)]
pub struct SecurityContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proc_mount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<LocalProfile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_armor_profile: Option<LocalProfile>,
    /// Of the pod only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// Of the pod only: `OnRootMismatch` or `Always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_group_change_policy: Option<String>,
    /// Of the pod only: `set` adds them to those of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supplemental_groups: Vec<i64>,
}

/// `seLinuxOptions`: the type only. The platform assigns user, role and level.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SeLinuxOptions {
    /// Such as `container_engine_t`.
    #[serde(rename = "type")]
    pub type_: String,
}

/// `seccompProfile` or `appArmorProfile`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LocalProfile {
    /// `RuntimeDefault`, `Unconfined` or `Localhost`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The profile's name on the node, with `Localhost` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localhost_profile: Option<String>,
}

impl<'a> From<&'a LocalProfile> for Confinement<'a> {
    fn from(profile: &'a LocalProfile) -> Self {
        Confinement {
            type_: profile.type_.as_str().into(),
            localhost_profile: profile.localhost_profile.as_deref().map(Text::from),
        }
    }
}

impl SecurityContext {
    /// The fields that have a value.
    pub fn fields(&self) -> impl Iterator<Item = (Field, Scalar<'_>)> {
        Field::ALL
            .into_iter()
            .filter_map(|field| self.get(field).map(|value| (field, value)))
    }

    /// The value of `field`, if it has one.
    pub fn get(&self, field: Field) -> Option<Scalar<'_>> {
        match field {
            Field::Privileged => self.privileged.map(Scalar::Bool),
            Field::AllowPrivilegeEscalation => self.allow_privilege_escalation.map(Scalar::Bool),
            Field::RunAsUser => self.run_as_user.map(Scalar::Int),
            Field::RunAsGroup => self.run_as_group.map(Scalar::Int),
            Field::RunAsNonRoot => self.run_as_non_root.map(Scalar::Bool),
            Field::ReadOnlyRootFilesystem => self.read_only_root_filesystem.map(Scalar::Bool),
            Field::ProcMount => self.proc_mount.as_deref().map(Text::from).map(Scalar::Text),
            Field::SeLinuxType => {
                let options = self.se_linux_options.as_ref();
                options.map(|options| Scalar::Text(options.type_.as_str().into()))
            }
            Field::SeccompProfile => {
                let profile = self.seccomp_profile.as_ref();
                profile.map(|profile| Scalar::Confinement(profile.into()))
            }
            Field::AppArmorProfile => {
                let profile = self.app_armor_profile.as_ref();
                profile.map(|profile| Scalar::Confinement(profile.into()))
            }
            Field::FsGroup => self.fs_group.map(Scalar::Int),
            Field::FsGroupChangePolicy => {
                let policy = self.fs_group_change_policy.as_deref();
                policy.map(Text::from).map(Scalar::Text)
            }
        }
    }
}
