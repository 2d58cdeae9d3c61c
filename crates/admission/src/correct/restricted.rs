//! Makes a job's own containers meet the level `restricted`, as far as their
//! profile allows.
//!
//! A job pod as GitLab Runner creates it never meets `restricted`, so no job could
//! run in a namespace at that level. Only what the Standards require of every
//! container is set, and nothing that the profile sets differently: that is
//! reported as a violation. Services must comply by themselves.

use super::change::CapabilityList;
use super::editor::Corrector;
use super::refusal::Refusal;
use crate::gitlab::role::Role;
use crate::pod::capability::same_capability;
use crate::pod::effective::effective;
use crate::pod::field::{Confinement, Field, Scalar};
use crate::pod::place::{ContainerRef, List, Place};
use crate::profile::effective::EffectiveRules;
use crate::standards::Family;
use crate::text::quoted;

/// Restricts the container at `list` and `index`, whose role has `rules`.
pub(crate) fn restrict<'a>(
    corrector: &mut Corrector<'a, '_>,
    at: ContainerRef,
    role: Role,
    rules: &EffectiveRules<'a>,
) {
    if role == Role::Services || rules.is_empty() {
        return;
    }
    let place = Place::Container(at);
    if is_free(
        rules,
        Family::AllowPrivilegeEscalation,
        Field::AllowPrivilegeEscalation,
    ) {
        let no = Scalar::Bool(false);
        corrector.set_security_context(place, Field::AllowPrivilegeEscalation, no);
    }
    drop_all(corrector, place, rules);
    if is_free(rules, Family::SeccompProfile, Field::SeccompProfile) {
        let seccomp = effective(corrector.pod(), place, Field::SeccompProfile);
        let confines =
            |scalar: &Scalar<'_>| matches!(scalar, Scalar::Confinement(c) if c.confines());
        if !seccomp.is_some_and(|seccomp| confines(&seccomp)) {
            let default = Confinement {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            };
            let value = Scalar::Confinement(default);
            corrector.set_security_context(place, Field::SeccompProfile, value);
        }
    }
}

/// Sets `runAsNonRoot` in a container that runs as a user other than root.
pub(crate) fn restrict_user<'a>(
    corrector: &mut Corrector<'a, '_>,
    place: Place,
    role: Role,
    rules: &EffectiveRules<'a>,
) {
    if role == Role::Services || rules.is_empty() {
        return;
    }
    let user = effective(corrector.pod(), place, Field::RunAsUser);
    let is_non_root = matches!(user, Some(Scalar::Int(1..)));
    let in_user_namespace = corrector.pod().spec.host_users == Some(false);
    if is_free(rules, Family::RunAsNonRoot, Field::RunAsNonRoot)
        && is_non_root
        && !in_user_namespace
    {
        corrector.set_security_context(place, Field::RunAsNonRoot, Scalar::Bool(true));
    }
}

/// Whether the profile neither sets `field` nor was granted its control.
fn is_free(rules: &EffectiveRules<'_>, family: Family, field: Field) -> bool {
    !rules.grants().restricted.contains(&family) && !rules.set().security_context().has(field)
}

/// Drops `ALL`, and removes what the profile does not add. This applies to granted
/// capabilities too: a grant is for those that the profile adds.
fn drop_all<'a>(corrector: &mut Corrector<'a, '_>, place: Place, rules: &EffectiveRules<'a>) {
    let kept = |name: &str| {
        same_capability(name, "NET_BIND_SERVICE")
            || rules
                .capabilities()
                .add
                .iter()
                .any(|added| same_capability(added, name))
    };
    corrector.remove_capabilities(place, CapabilityList::Add, |name| !kept(name));
    let context = corrector.pod().security_context(place);
    let dropped = context
        .and_then(|c| c.capabilities.as_ref())
        .and_then(|c| c.drop.as_deref());
    if !dropped
        .unwrap_or_default()
        .iter()
        .any(|name| &**name == "ALL")
    {
        corrector.add_capabilities(place, CapabilityList::Drop, vec!["ALL".into()]);
    }
}

/// Podman clones a user namespace, which the runtime's default seccomp profile
/// forbids without SYS_ADMIN. A grant at `restricted` exempts `build` from that
/// profile; then the pod must not set it either.
pub(crate) fn seccomp_lets_podman_clone(
    corrector: &Corrector<'_, '_>,
    build: &EffectiveRules<'_>,
) -> Result<(), Refusal> {
    if !build.grants().restricted.contains(&Family::SeccompProfile) {
        return Ok(());
    }
    let pod = corrector.pod();
    for (index, container) in pod.spec.containers.iter().enumerate() {
        let place = Place::Container(ContainerRef {
            list: List::Regular,
            index,
        });
        if Role::of(List::Regular, &container.name) == Role::Build
            && let Some(Scalar::Confinement(seccomp)) = effective(pod, place, Field::SeccompProfile)
            && &*seccomp.type_ == "RuntimeDefault"
        {
            return Err(Refusal {
                place: format!("{place} {}", quoted(&container.name)),
                field: "securityContext.seccompProfile".to_owned(),
                problem: "with RuntimeDefault, set on it or on the pod, Podman cannot create a \
                          user namespace"
                    .to_owned(),
                remedy: "remove seccomp_profile from pod_security_context and \
                         build_container_security_context in the runner's config.toml"
                    .to_owned(),
            });
        }
    }
    Ok(())
}
