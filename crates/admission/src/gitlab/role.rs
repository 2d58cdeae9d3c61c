//! What each container of a job pod is for.
//!
//! Read from GitLab Runner 19.4, `executors/kubernetes`.

use crate::pod::place::{ContainerRef, List};
use crate::pod::{Container, Pod};

/// The container a job's script runs in.
pub const BUILD: &str = "build";
/// The container that clones, caches and uploads.
pub const HELPER: &str = "helper";
/// Runs the *build* image before the job to learn which user `build` will be.
pub const UID_COLLECTOR: &str = "init-build-uid-gid-collector";

/// The init containers that the runner adds. Any other, whatever its name, is an
/// administrator's or another webhook's.
const INIT: [&str; 3] = ["init-permissions", UID_COLLECTOR, "init-steps-bootstrap"];

/// What a container does in a job pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the job's script.
    Build,
    /// Runs the runner's own steps.
    Helper,
    /// One of the runner's own init containers.
    Init,
    /// A service of the job, or any other container in the pod.
    Services,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Build, Role::Helper, Role::Init, Role::Services];

    /// Its key in a profile.
    pub fn key(self) -> &'static str {
        match self {
            Role::Build => "build",
            Role::Helper => "helper",
            Role::Init => "init",
            Role::Services => "services",
        }
    }

    /// The role of the container `name`. Both name and list matter: a service's
    /// name is its author's alias, so `init-x` among the regular containers is
    /// a service, and so is `build` among the init containers.
    pub fn of(list: List, name: &str) -> Role {
        match (list, name) {
            (List::Regular, BUILD) => Role::Build,
            (List::Regular, HELPER) => Role::Helper,
            (List::Init, name) if INIT.contains(&name) => Role::Init,
            _ => Role::Services,
        }
    }
}

/// Every container with its role; the regular ones first, so that changes to
/// `build` are listed first.
pub(crate) fn containers(pod: &Pod<'_>) -> Vec<(ContainerRef, Role)> {
    let of = |list, containers: &[Box<Container<'_>>]| -> Vec<_> {
        let roles = containers
            .iter()
            .map(|container| Role::of(list, &container.name));
        roles
            .enumerate()
            .map(|(index, role)| (ContainerRef { list, index }, role))
            .collect()
    };
    let mut all = of(List::Regular, &pod.spec.containers);
    all.extend(of(List::Init, &pod.spec.init_containers));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_alias_does_not_change_its_role() {
        assert_eq!(Role::of(List::Regular, "init-permissions"), Role::Services);
        assert_eq!(Role::of(List::Init, "build"), Role::Services);
        assert_eq!(Role::of(List::Init, "istio-init"), Role::Services);
    }

    #[test]
    fn an_init_container_is_the_runners_by_its_whole_name() {
        for name in INIT {
            assert_eq!(Role::of(List::Init, name), Role::Init);
        }
        for name in ["init-binfmt", "init-permissions-2", "init-"] {
            assert_eq!(Role::of(List::Init, name), Role::Services, "{name}");
        }
    }
}
