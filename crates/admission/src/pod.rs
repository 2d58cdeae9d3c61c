//! The part of a pod that podseal reads, borrowed from the request's bytes.
//!
//! A job pod is about 14 kB of JSON, most of it variables. Parsing it into a
//! `serde_json::Value` allocates for every one of them; these types allocate
//! for the lists only. Whatever is not named here is skipped, and therefore
//! survives: a patch speaks of the fields below and of nothing else.
//!
//! `null` means absent, as it does for the API server; in a list it is an
//! element without fields, and among strings the empty one.

#![allow(
    missing_docs,
    reason = "the fields are Kubernetes' own, documented there"
)]

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::object::{
    absent, flag, flag_or_false, integer, integer_or_0, integers, object, object_or_default,
    objects, objects_or_none, texts,
};
use super::security_context::{Field, LocalProfile, Scalar};
use super::text::{Map, Quantity, Text};

pub use super::handler::{Endpoint, Handler, Lifecycle};
pub use super::volume::{HostPath, Volume};

/// A pod as the API server sends it (`v1`, kind `Pod`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    #[serde(borrow, deserialize_with = "object_or_default")]
    pub metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "object_or_default")]
    pub spec: Spec<'a>,
}

/// The pod's own `metadata`. Its namespace is not to be trusted: the request's
/// is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "absent")]
    pub labels: Map<'a>,
    #[serde(borrow)]
    pub annotations: Option<Map<'a>>,
    #[serde(borrow, deserialize_with = "objects_or_none")]
    pub owner_references: Vec<OwnerReference<'a>>,
}

/// One entry of `ownerReferences`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub kind: Text<'a>,
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
    #[serde(deserialize_with = "flag")]
    pub controller: Option<bool>,
}

/// A list of containers.
#[allow(
    clippy::vec_box,
    reason = "three bytes of JSON are a container, and a list that grows holds them thrice"
)]
pub type Containers<'a> = Vec<Box<Container<'a>>>;

/// `spec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec<'a> {
    // Boxed, since a list that grows would take three times their size.
    #[serde(borrow, deserialize_with = "objects_or_none")]
    pub init_containers: Containers<'a>,
    #[serde(borrow, deserialize_with = "objects_or_none")]
    pub containers: Containers<'a>,
    #[serde(borrow, deserialize_with = "objects_or_none")]
    pub ephemeral_containers: Containers<'a>,
    #[serde(borrow, deserialize_with = "objects")]
    pub volumes: Option<Vec<Volume<'a>>>,
    #[serde(borrow, deserialize_with = "object")]
    pub security_context: Option<SecurityContext<'a>>,
    #[serde(borrow, deserialize_with = "absent")]
    pub node_selector: Map<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub os: Option<Os<'a>>,
    #[serde(deserialize_with = "flag")]
    pub host_users: Option<bool>,
    #[serde(rename = "hostNetwork", deserialize_with = "flag")]
    pub host_network: Option<bool>,
    #[serde(rename = "hostPID", deserialize_with = "flag")]
    pub host_pid: Option<bool>,
    #[serde(rename = "hostIPC", deserialize_with = "flag")]
    pub host_ipc: Option<bool>,
}

/// `spec.os`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Os<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
}

/// A container of any of the pod's lists: as far as podseal reads them, they
/// have the same fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub image: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub env: Option<Vec<EnvVar<'a>>>,
    #[serde(borrow, deserialize_with = "object")]
    pub resources: Option<Resources<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    pub security_context: Option<SecurityContext<'a>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub volume_mounts: Option<Vec<VolumeMount<'a>>>,
    #[serde(borrow, deserialize_with = "objects_or_none")]
    pub volume_devices: Vec<VolumeDevice<'a>>,
    #[serde(deserialize_with = "objects_or_none")]
    pub ports: Vec<ContainerPort>,
    // Boxed, since few containers have them and all would pay for the space.
    #[serde(borrow, deserialize_with = "object")]
    pub liveness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "object")]
    pub readiness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "object")]
    pub startup_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow, deserialize_with = "object")]
    pub lifecycle: Option<Box<Lifecycle<'a>>>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// 0 is no host port.
    #[serde(deserialize_with = "integer_or_0")]
    pub host_port: i32,
}

/// One entry of `env`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVar<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub value: Option<Text<'a>>,
    pub value_from: Option<IgnoredAny>,
}

/// One entry of `volumeMounts`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
    #[serde(borrow, deserialize_with = "absent")]
    pub mount_path: Text<'a>,
    #[serde(borrow)]
    pub mount_propagation: Option<Text<'a>>,
    #[serde(deserialize_with = "flag_or_false")]
    pub read_only: bool,
}

/// One entry of `volumeDevices`: a raw block device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeDevice<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub device_path: Text<'a>,
}

/// `resources` of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    #[serde(borrow)]
    pub limits: Option<Map<'a, Quantity<'a>>>,
    #[serde(borrow)]
    pub requests: Option<Map<'a, Quantity<'a>>>,
}

/// `securityContext`, of the pod or of a container.
///
/// One type for both, so a field may be read where Kubernetes has none:
/// `privileged` means nothing on the pod, nor `sysctls` on a container.
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

/// `seccompProfile` and `appArmorProfile`: one shape, two mechanisms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Confinement<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "absent")]
    pub type_: Text<'a>,
    #[serde(borrow)]
    pub localhost_profile: Option<Text<'a>>,
}

impl Confinement<'_> {
    /// Whether it confines at all, by whatever profile.
    pub fn confines(&self) -> bool {
        matches!(&*self.type_, "RuntimeDefault" | "Localhost")
    }
}

impl<'a> From<&'a LocalProfile> for Confinement<'a> {
    fn from(profile: &'a LocalProfile) -> Self {
        Confinement {
            type_: profile.type_.as_str().into(),
            localhost_profile: profile.localhost_profile.as_deref().map(Text::from),
        }
    }
}

/// Which of the pod's lists a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// `spec.initContainers`
    Init,
    /// `spec.containers`
    Regular,
    /// `spec.ephemeralContainers`
    Ephemeral,
}

/// Where in the pod something stands: what a change or a denial speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The pod itself.
    Pod,
    /// A container, by list and index.
    Container(List, usize),
}

impl<'a> Pod<'a> {
    /// Every container a job can have at creation, init containers first.
    pub fn containers(&self) -> impl Iterator<Item = (Place, &Container<'a>)> {
        let init = self.spec.init_containers.iter().enumerate();
        let regular = self.spec.containers.iter().enumerate();
        init.map(|(i, c)| (Place::Container(List::Init, i), &**c))
            .chain(regular.map(|(i, c)| (Place::Container(List::Regular, i), &**c)))
    }

    /// Every container of the pod: those of [`Pod::containers`], then the
    /// ephemeral ones.
    pub fn all_containers(&self) -> impl Iterator<Item = (Place, &Container<'a>)> {
        let ephemeral = self.spec.ephemeral_containers.iter().enumerate();
        self.containers()
            .chain(ephemeral.map(|(i, c)| (Place::Container(List::Ephemeral, i), &**c)))
    }

    /// The container at `place`, which must name one.
    pub fn container(&self, list: List, index: usize) -> &Container<'a> {
        match list {
            List::Init => &self.spec.init_containers[index],
            List::Regular => &self.spec.containers[index],
            List::Ephemeral => &self.spec.ephemeral_containers[index],
        }
    }

    pub(super) fn container_mut(&mut self, list: List, index: usize) -> &mut Container<'a> {
        match list {
            List::Init => &mut self.spec.init_containers[index],
            List::Regular => &mut self.spec.containers[index],
            List::Ephemeral => &mut self.spec.ephemeral_containers[index],
        }
    }

    /// The `securityContext` at `place`.
    pub fn security_context(&self, place: Place) -> Option<&SecurityContext<'a>> {
        match place {
            Place::Pod => self.spec.security_context.as_ref(),
            Place::Container(list, i) => self.container(list, i).security_context.as_ref(),
        }
    }

    pub(super) fn security_context_mut(&mut self, place: Place) -> &mut SecurityContext<'a> {
        let slot = match place {
            Place::Pod => &mut self.spec.security_context,
            Place::Container(list, i) => &mut self.container_mut(list, i).security_context,
        };
        slot.get_or_insert_default()
    }

    /// Whether the pod runs on Windows: `spec.os` or the node selector, which
    /// is all that GitLab Runner sets.
    pub fn is_windows(&self) -> bool {
        let os = self.spec.os.as_ref().map(|os| &*os.name);
        let selected = |key| self.spec.node_selector.get(key).map(|value| &**value);
        os == Some("windows")
            || selected("kubernetes.io/os") == Some("windows")
            || selected("beta.kubernetes.io/os") == Some("windows")
    }

    /// The name to show: `metadata.name`, or what it will be generated from.
    pub fn name(&self) -> &str {
        let name = self
            .metadata
            .name
            .as_deref()
            .filter(|name| !name.is_empty());
        name.or(self.metadata.generate_name.as_deref())
            .unwrap_or_default()
    }
}

impl<'a> Container<'a> {
    /// The entry of `env` that counts for `name`, which is the last.
    pub fn env(&self, name: &str) -> Option<(usize, &EnvVar<'a>)> {
        let env = self.env.as_deref().unwrap_or_default();
        env.iter()
            .enumerate()
            .rev()
            .find(|(_, var)| &*var.name == name)
    }

    /// The paths mounted into the container: volumes and block devices.
    pub fn mount_paths(&self) -> impl Iterator<Item = &Text<'a>> {
        let mounts = self.volume_mounts.as_deref().unwrap_or_default();
        let devices = self.volume_devices.iter().map(|device| &device.device_path);
        mounts.iter().map(|mount| &mount.mount_path).chain(devices)
    }
}

impl<'a> SecurityContext<'a> {
    /// The value of `field`, if the pod says anything.
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
        }
    }

    /// Sets or removes `field`. The value's kind is the field's own, as
    /// [`SecurityContext::get`] gives it.
    pub(super) fn set(&mut self, field: Field, value: Option<Scalar<'a>>) {
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
        }
    }
}
