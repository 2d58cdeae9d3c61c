//! The image store: whose configuration applies, and the volume of root's.
//!
//! The variables of [`VARIABLES`] override the image's configuration file, which a
//! profile does with them, and also the job's own. So where the job has one of them, the
//! profile's later ones, which would override that, are left out.
//!
//! Podman as root keeps its images in `/var/lib/containers`. In a container that is a
//! part of its root file system, which is an overlay itself, and the kernel mounts no
//! overlay on an overlay. Upstream's images declare a volume there, which CRI-O ignores
//! by default.

use std::collections::BTreeMap;

use super::change::By;
use super::editor::Corrector;
use super::volumes::mount;
use crate::gitlab::role::containers;
use crate::pod::Container;
use crate::profile::EffectiveProfile;

/// Where Podman keeps its images if it is root.
const PATH: &str = "/var/lib/containers";
/// Name of the volume, unless the pod already uses it.
const VOLUME: &str = "podseal-storage";

/// What containers/storage reads, each overriding those before it (its
/// `types/options.go`, v1.57 to v1.65).
const VARIABLES: [&str; 3] = ["CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS"];

/// Whether the profile's variable `name` would override a variable of the job's own.
pub(super) fn is_jobs(
    container: &Container<'_>,
    name: &str,
    of_profile: &BTreeMap<String, String>,
) -> bool {
    let position = VARIABLES.iter().position(|variable| *variable == name);
    let before = &VARIABLES[..position.unwrap_or_default()];
    before.iter().any(|variable| {
        container.env(variable).is_some_and(|(_, own)| {
            let value = own.value.as_deref().unwrap_or_default();
            own.value_from.is_some() || of_profile.get(*variable).is_none_or(|of| of != value)
        })
    })
}

/// Mounts it in every container whose role has `storage: true` in the profile.
pub(super) fn mount_storage<'a>(
    corrector: &mut Corrector<'a, '_>,
    profile: &EffectiveProfile<'a>,
) {
    let targets: Vec<_> = containers(corrector.pod())
        .into_iter()
        .filter(|(_, role)| profile.role(*role).storage())
        .map(|(at, _)| at)
        .collect();
    corrector.by(By::Storage);
    mount(corrector, &targets, PATH, VOLUME, profile);
}
