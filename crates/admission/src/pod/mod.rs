//! The part of a pod that podseal reads, borrowed from the request's bytes.
//!
//! A job pod is about 14 kB of JSON, most of it variables. Parsing it into a
//! `serde_json::Value` allocates for every one of them; these types allocate for
//! the lists only. Other fields are skipped, and so they stay as they are: a patch
//! changes only the fields below.
//!
//! `null` means absent, as it does for the API server; in a list it is an
//! element without fields, and among strings the empty one.

#![allow(
    missing_docs,
    reason = "the fields are Kubernetes' own, documented there"
)]

pub(crate) mod capability;
pub(crate) mod effective;
pub mod field;
mod handler;
pub(crate) mod limits;
pub mod names;
pub(crate) mod object;
pub mod place;
pub mod security_context;
mod volume;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::object::{
    absent, flag, flag_or_false, integer, integer_or_0, object, object_or_default, objects,
    objects_or_none,
};
use self::place::{ContainerRef, List, Place};
use self::security_context::SecurityContext;
use crate::text::{Map, Quantity, Text};

pub use self::handler::{Endpoint, Handler, Lifecycle};
pub use self::volume::{HostPath, Volume};

/// A pod as the API server sends it (`v1`, kind `Pod`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    #[serde(borrow, deserialize_with = "object_or_default")]
    pub metadata: Metadata<'a>,
    #[serde(borrow, deserialize_with = "object_or_default")]
    pub spec: Spec<'a>,
}

/// The pod's own `metadata`. Its namespace is not reliable; the request's is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub uid: Option<Text<'a>>,
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
    reason = "three bytes of JSON are a container, and a growing list takes three times their size"
)]
pub type Containers<'a> = Vec<Box<Container<'a>>>;

/// `spec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec<'a> {
    // Boxed, since a growing list would take three times their size.
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
    #[serde(borrow)]
    pub runtime_class_name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub tolerations: Option<Vec<Box<Toleration<'a>>>>,
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

/// One entry of `tolerations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Toleration<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub key: Text<'a>,
    #[serde(borrow, deserialize_with = "absent")]
    pub operator: Text<'a>,
    #[serde(borrow, deserialize_with = "absent")]
    pub value: Text<'a>,
    #[serde(borrow, deserialize_with = "absent")]
    pub effect: Text<'a>,
    #[serde(deserialize_with = "integer")]
    pub toleration_seconds: Option<i64>,
}

/// `spec.os`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Os<'a> {
    #[serde(borrow, deserialize_with = "absent")]
    pub name: Text<'a>,
}

/// A container of any of the pod's lists, which have the same fields as far as
/// podseal reads them.
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
    // Boxed, since few containers have them and all would take the space.
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

impl<'a> Pod<'a> {
    /// Every container a job can have at creation, init containers first.
    pub fn containers(&self) -> impl Iterator<Item = (Place, &Container<'a>)> {
        let init = self.spec.init_containers.iter().enumerate();
        let regular = self.spec.containers.iter().enumerate();
        init.map(|(i, c)| {
            (
                Place::Container(ContainerRef {
                    list: List::Init,
                    index: i,
                }),
                &**c,
            )
        })
        .chain(regular.map(|(i, c)| {
            (
                Place::Container(ContainerRef {
                    list: List::Regular,
                    index: i,
                }),
                &**c,
            )
        }))
    }

    /// Every container of the pod: those of [`Pod::containers`], then the
    /// ephemeral ones.
    pub fn all_containers(&self) -> impl Iterator<Item = (Place, &Container<'a>)> {
        let ephemeral = self.spec.ephemeral_containers.iter().enumerate();
        self.containers().chain(ephemeral.map(|(i, c)| {
            (
                Place::Container(ContainerRef {
                    list: List::Ephemeral,
                    index: i,
                }),
                &**c,
            )
        }))
    }

    /// The container at `place`, which must name one.
    pub fn container(&self, at: ContainerRef) -> &Container<'a> {
        match at.list {
            List::Init => &self.spec.init_containers[at.index],
            List::Regular => &self.spec.containers[at.index],
            List::Ephemeral => &self.spec.ephemeral_containers[at.index],
        }
    }

    pub(crate) fn container_mut(&mut self, at: ContainerRef) -> &mut Container<'a> {
        match at.list {
            List::Init => &mut self.spec.init_containers[at.index],
            List::Regular => &mut self.spec.containers[at.index],
            List::Ephemeral => &mut self.spec.ephemeral_containers[at.index],
        }
    }

    /// The `securityContext` at `place`.
    pub fn security_context(&self, place: Place) -> Option<&SecurityContext<'a>> {
        match place {
            Place::Pod => self.spec.security_context.as_ref(),
            Place::Container(at) => self.container(at).security_context.as_ref(),
        }
    }

    pub(crate) fn security_context_mut(&mut self, place: Place) -> &mut SecurityContext<'a> {
        let slot = match place {
            Place::Pod => &mut self.spec.security_context,
            Place::Container(at) => &mut self.container_mut(at).security_context,
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
    /// The entry of `env` that applies to `name`: the last.
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
