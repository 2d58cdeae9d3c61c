//! Keeps `build` and the runner's uid collector the same user.

use super::editor::Corrector;
use crate::gitlab::role::{BUILD, Role, UID_COLLECTOR};
use crate::pod::effective::effective;
use crate::pod::field::Field;
use crate::pod::place::{ContainerRef, List, Place};
use crate::pod::{Container, Pod};
use crate::profile::EffectiveProfile;

/// The runner runs the build image in an init container to find out as which user
/// `build` will run, and makes that user the owner of the job's files. This is only
/// right if both run as the same user.
///
/// So the rules for init containers do not apply to these fields of it: what they
/// set would be reverted, in every correction.
pub(super) struct Mirror {
    build: Place,
    pub(super) collector: Place,
}

/// The fields that determine the user of a container.
pub(super) const MIRRORED: [Field; 3] = [Field::RunAsUser, Field::RunAsGroup, Field::RunAsNonRoot];

/// Whether the runner asks for the user of `build`
/// (`FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR`).
pub(super) fn has_collector(pod: &Pod<'_>) -> bool {
    let mut containers = pod.spec.init_containers.iter();
    containers.any(|container| &*container.name == UID_COLLECTOR)
}

impl Mirror {
    /// The two containers, if `profile` has rules for `build`, or sets the user
    /// of either: a profile that changes only one would make them differ.
    pub(super) fn of(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> Option<Mirror> {
        let [build, init] = [Role::Build, Role::Init].map(|role| profile.role(role));
        let has_rules_for_build = !build.set().is_empty() || !build.if_unset().is_empty();
        let of_users = [
            init.set().security_context(),
            init.if_unset().security_context(),
            profile.pod().set().security_context(),
            profile.pod().if_unset().security_context(),
        ];
        let sets = |field: &Field| of_users.iter().any(|context| context.has(*field));
        if !has_rules_for_build && !MIRRORED.iter().any(sets) {
            return None;
        }
        let named = |containers: &[Box<Container<'_>>], name| {
            containers
                .iter()
                .position(|container| &*container.name == name)
        };
        let build = named(&pod.spec.containers, BUILD)?;
        let collector = named(&pod.spec.init_containers, UID_COLLECTOR)?;
        Some(Mirror {
            build: Place::Container(ContainerRef {
                list: List::Regular,
                index: build,
            }),
            collector: Place::Container(ContainerRef {
                list: List::Init,
                index: collector,
            }),
        })
    }

    pub(super) fn follow(&self, corrector: &mut Corrector<'_, '_>) {
        for field in MIRRORED {
            let wanted = effective(corrector.pod(), self.build, field);
            if wanted == effective(corrector.pod(), self.collector, field) {
                continue;
            }
            match wanted {
                Some(value) => corrector.set_security_context(self.collector, field, value),
                None => corrector.unset_security_context(self.collector, field),
            }
        }
    }
}
