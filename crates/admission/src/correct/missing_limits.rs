//! The limits of a profile that a job's pod lacks.
//!
//! A pod with the mark of another version of its profile is not compared with its
//! profile, and anyone who creates pods can write such a mark. So the profile's
//! grants apply only if the pod has the limits that come with them, such as the
//! user namespace in which a container is privileged.
//!
//! A limit that differs between two versions without being weaker, such as another
//! user that is not root either, counts as the same: a change of a profile reaches
//! one replica after the other, and no job may fail because of that.

use super::change::{By, CapabilityList, Change, Kind, Part};
use super::refusal::Refusal;
use super::{conflicts, steps};
use crate::pod::Pod;
use crate::pod::field::{Field, Scalar};
use crate::pod::place::Place;
use crate::profile::EffectiveProfile;
use crate::profile::effective::EffectiveRules;
use crate::standards::Level;

/// The changes that the profile would make to limit `pod`, or a container to which
/// it grants anything at `level`. None if it grants nothing.
///
/// # Errors
/// If the profile cannot be applied to the pod at all.
pub(crate) fn lacking<'a>(
    pod: &Pod<'a>,
    profile: &EffectiveProfile<'a>,
    level: Level,
) -> Result<Vec<Change<'a>>, Refusal> {
    let is_granted = |rules: &EffectiveRules<'_>| {
        let grants = rules.grants();
        match level {
            Level::Privileged => false,
            Level::Baseline => !grants.baseline.is_empty(),
            Level::Restricted => !grants.restricted.is_empty(),
        }
    };
    if !profile.all_rules().any(|rules| is_granted(&rules)) {
        return Ok(Vec::new());
    }
    // Do not copy a pod that is rejected for its size.
    conflicts::find_in_names(pod)?;
    let (mut changes, _) = steps::correct(&mut pod.clone(), profile, level)?;
    changes.retain(|change| {
        let concerns_a_grant = match change.place {
            Place::Pod => true,
            Place::Container(at) => is_granted(&profile.rules(at.list, pod.container(at)).1),
        };
        concerns_a_grant && narrows(change)
    });
    Ok(changes)
}

/// Whether `change` restricts the pod.
fn narrows(change: &Change<'_>) -> bool {
    // A value under `ifUnset` is not a limit: the pod may have its own.
    if let By::Mark | By::Pod(Part::IfUnset) | By::Container(_, Part::IfUnset) = change.by {
        return false;
    }
    match &change.kind {
        // An annotation may be a limit: CRI-O reads user namespaces from
        // one.
        Kind::Annotation { .. } => true,
        Kind::HostUsers { value, .. } => !value,
        // A sandbox, or nodes for such jobs alone.
        Kind::RuntimeClass { .. } | Kind::NodeSelector { .. } => true,
        Kind::SecurityContext {
            field,
            value: Some(value),
            was,
        } => narrows_field(*field, value, was.as_ref()),
        Kind::CapabilitiesAdded { list, .. } => *list == CapabilityList::Drop,
        Kind::CapabilitiesRemoved { list, .. } => *list == CapabilityList::Add,
        Kind::SecurityContext { value: None, .. }
        | Kind::Env { .. }
        | Kind::Limit { .. }
        | Kind::Volume { .. }
        | Kind::Mount { .. }
        | Kind::Toleration(_)
        | Kind::Groups(_) => false,
    }
}

fn narrows_field(field: Field, value: &Scalar<'_>, was: Option<&Scalar<'_>>) -> bool {
    let is = |flag: bool| *value == Scalar::Bool(flag);
    match field {
        Field::Privileged => is(false) && was.is_some(),
        // If it is not set, escalation is allowed.
        Field::AllowPrivilegeEscalation => is(false),
        Field::RunAsNonRoot | Field::ReadOnlyRootFilesystem => is(true),
        Field::RunAsUser | Field::RunAsGroup => {
            let is_root = |id: &Scalar<'_>| *id == Scalar::Int(0);
            !is_root(value) && was.is_none_or(is_root)
        }
        Field::ProcMount => {
            matches!(value, Scalar::Text(kind) if &**kind == "Default") && was.is_some()
        }
        Field::FsGroup | Field::FsGroupChangePolicy => false,
        // Types have no known order of strictness.
        Field::SeLinuxType => true,
        // Nor do the node's profiles: `Localhost` can be anything.
        Field::SeccompProfile | Field::AppArmorProfile => {
            matches!(value, Scalar::Confinement(profile) if profile.confines())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::field::Confinement;

    #[test]
    fn a_limit_is_lacking_where_the_pod_has_none_or_a_weaker_one() {
        use Field::{AllowPrivilegeEscalation, Privileged, ProcMount, RunAsNonRoot, RunAsUser};
        let (yes, no) = (Scalar::Bool(true), Scalar::Bool(false));
        let id = Scalar::Int;
        let text = |text: &'static str| Scalar::Text(text.into());
        for (field, value, was, narrows) in [
            (Privileged, no.clone(), None, false),
            (Privileged, no.clone(), Some(yes.clone()), true),
            (Privileged, yes.clone(), Some(no.clone()), false),
            (AllowPrivilegeEscalation, no.clone(), None, true),
            (
                AllowPrivilegeEscalation,
                yes.clone(),
                Some(no.clone()),
                false,
            ),
            (RunAsNonRoot, yes.clone(), None, true),
            (RunAsNonRoot, no, Some(yes), false),
            (RunAsUser, id(1000), None, true),
            (RunAsUser, id(1000), Some(id(0)), true),
            (RunAsUser, id(1000), Some(id(1001)), false),
            (RunAsUser, id(0), Some(id(1001)), false),
            (ProcMount, text("Default"), Some(text("Unmasked")), true),
            (ProcMount, text("Default"), None, false),
            (ProcMount, text("Unmasked"), None, false),
            (
                Field::SeLinuxType,
                text("container_t"),
                Some(text("spc_t")),
                true,
            ),
        ] {
            let found = narrows_field(field, &value, was.as_ref());
            assert_eq!(found, narrows, "{field:?} {value} {was:?}");
        }
    }

    #[test]
    fn any_other_profile_than_the_one_that_confines_is_lacking_it() {
        let confinement = |type_: &'static str, name: Option<&'static str>| {
            Scalar::Confinement(Confinement {
                type_: type_.into(),
                localhost_profile: name.map(Into::into),
            })
        };
        let ours = confinement("Localhost", Some("podman.json"));
        let unconfined = confinement("Unconfined", None);
        for field in [Field::SeccompProfile, Field::AppArmorProfile] {
            let other = confinement("Localhost", Some("permissive.json"));
            assert!(narrows_field(field, &ours, Some(&other)));
            assert!(narrows_field(field, &ours, None));
            assert!(!narrows_field(field, &unconfined, Some(&ours)));
        }
    }
}
