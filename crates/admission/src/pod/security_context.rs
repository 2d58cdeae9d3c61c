//! `securityContext`, of a pod and of its containers.

#![allow(
    missing_docs,
    reason = "the fields are Kubernetes' own, documented there"
)]

use serde::Deserialize;

use super::field::{Confinement, Field, Scalar};
use super::object::{absent, flag, integer, integers, object, objects_or_none, texts};
use crate::text::Text;

/// `securityContext`, of the pod or of a container.
///
/// One type for both, so a field may be read where Kubernetes has none:
/// `privileged` has no effect on the pod, nor `sysctls` on a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityContext<'a> {
    #[serde(deserialize_with = "flag")]
    pub privileged: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub allow_privilege_escalation: Option<bool>,
    #[serde(deserialize_with = "integer")]
    pub run_as_user: Option<i64>,
    #[serde(deserialize_with = "integer")]
    pub run_as_group: Option<i64>,
    #[serde(deserialize_with = "flag")]
    pub run_as_non_root: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub read_only_root_filesystem: Option<bool>,
    #[serde(borrow)]
    pub proc_mount: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub capabilities: Option<Capabilities<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub se_linux_options: Option<SeLinuxOptions<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub seccomp_profile: Option<Confinement<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub app_armor_profile: Option<Confinement<'a>>,
    #[serde(deserialize_with = "object")]
    pub windows_options: Option<WindowsOptions>,
    #[serde(borrow, deserialize_with = "objects_or_none")]
    pub sysctls: Vec<Sysctl<'a>>,
    #[serde(deserialize_with = "integer")]
    pub fs_group: Option<i64>,
    #[serde(borrow)]
    pub fs_group_change_policy: Option<Text<'a>>,
    #[serde(deserialize_with = "integers")]
    pub supplemental_groups: Option<Vec<i64>>,
}

/// `windowsOptions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WindowsOptions {
    #[serde(deserialize_with = "flag")]
    pub host_process: Option<bool>,
}

/// One entry of `sysctls`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Sysctl<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
}

/// `capabilities`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Capabilities<'a> {
    #[serde(borrow, deserialize_with = "texts")]
    pub add: Option<Vec<Text<'a>>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub drop: Option<Vec<Text<'a>>>,
}

/// `seLinuxOptions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SeLinuxOptions<'a> {
    #[serde(borrow)]
    pub user: Option<Text<'a>>,
    #[serde(borrow)]
    pub role: Option<Text<'a>>,
    #[serde(borrow)]
    pub level: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    pub type_: Option<Text<'a>>,
}

impl<'a> SecurityContext<'a> {
    /// The value of `field`, if it is set.
    pub fn get(&self, field: Field) -> Option<Scalar<'a>> {
        match field {
            Field::Privileged => self.privileged.map(Scalar::Bool),
            Field::AllowPrivilegeEscalation => self.allow_privilege_escalation.map(Scalar::Bool),
            Field::RunAsUser => self.run_as_user.map(Scalar::Int),
            Field::RunAsGroup => self.run_as_group.map(Scalar::Int),
            Field::RunAsNonRoot => self.run_as_non_root.map(Scalar::Bool),
            Field::ReadOnlyRootFilesystem => self.read_only_root_filesystem.map(Scalar::Bool),
            Field::ProcMount => self.proc_mount.clone().map(Scalar::Text),
            Field::SeLinuxType => {
                let options = self.se_linux_options.as_ref();
                options
                    .and_then(|options| options.type_.clone())
                    .map(Scalar::Text)
            }
            Field::SeccompProfile => self.seccomp_profile.clone().map(Scalar::Confinement),
            Field::AppArmorProfile => self.app_armor_profile.clone().map(Scalar::Confinement),
            Field::FsGroup => self.fs_group.map(Scalar::Int),
            Field::FsGroupChangePolicy => self.fs_group_change_policy.clone().map(Scalar::Text),
        }
    }

    /// Sets or removes `field`. The value's kind is the field's own, as
    /// [`SecurityContext::get`] returns it.
    pub(crate) fn set(&mut self, field: Field, value: Option<Scalar<'a>>) {
        match field {
            Field::Privileged => self.privileged = value.and_then(Scalar::bool),
            Field::AllowPrivilegeEscalation => {
                self.allow_privilege_escalation = value.and_then(Scalar::bool);
            }
            Field::RunAsUser => self.run_as_user = value.and_then(Scalar::int),
            Field::RunAsGroup => self.run_as_group = value.and_then(Scalar::int),
            Field::RunAsNonRoot => self.run_as_non_root = value.and_then(Scalar::bool),
            Field::ReadOnlyRootFilesystem => {
                self.read_only_root_filesystem = value.and_then(Scalar::bool);
            }
            Field::ProcMount => self.proc_mount = value.and_then(Scalar::text),
            Field::SeLinuxType => {
                let options = self.se_linux_options.get_or_insert_default();
                options.type_ = value.and_then(Scalar::text);
            }
            Field::SeccompProfile => self.seccomp_profile = value.and_then(Scalar::confinement),
            Field::AppArmorProfile => self.app_armor_profile = value.and_then(Scalar::confinement),
            Field::FsGroup => self.fs_group = value.and_then(Scalar::int),
            Field::FsGroupChangePolicy => {
                self.fs_group_change_policy = value.and_then(Scalar::text);
            }
        }
    }
}
