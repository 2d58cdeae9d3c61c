//! AppArmor's field, and the older annotation for the same.

use std::collections::{HashMap, HashSet};

use super::editor::Corrector;
use crate::gitlab::role::containers;
use crate::pod::Pod;
use crate::pod::effective::effective;
use crate::pod::field::{Field, Scalar};
use crate::pod::place::{ContainerRef, Place};
use crate::profile::effective::EffectiveSecurityContext;

pub(super) const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Before it was a field, AppArmor was an annotation. The API server rejects a pod
/// that has both with different values, so a profile that sets the field also sets
/// the annotation, if there is one.
pub(super) fn sync_apparmor_annotation(
    corrector: &mut Corrector<'_, '_>,
    at: ContainerRef,
    set: [EffectiveSecurityContext<'_>; 2],
) {
    if !set
        .iter()
        .any(|context| context.has(Field::AppArmorProfile))
    {
        return;
    }
    let pod = corrector.pod();
    let key = format!("{APPARMOR_ANNOTATION}{}", &*pod.container(at).name);
    let place = Place::Container(at);
    if let Some(Scalar::Confinement(profile)) = effective(pod, place, Field::AppArmorProfile) {
        let value = apparmor_annotation(&profile);
        corrector.set_annotation(key.into(), value.into());
    }
}

/// The containers that have the older annotation.
pub(super) struct Annotated(HashSet<ContainerRef>);

impl Annotated {
    /// Those of `pod`, whose containers have different names. They are looked
    /// up by the annotations, not the annotations by them: either may be many.
    pub(super) fn of(pod: &Pod<'_>) -> Annotated {
        let entries = pod.metadata.annotations.iter().flat_map(|map| &map.0);
        let mut named = entries
            .filter_map(|(key, _)| key.strip_prefix(APPARMOR_ANNOTATION))
            .peekable();
        if named.peek().is_none() {
            return Annotated(HashSet::new());
        }
        let places: HashMap<_, _> = containers(pod)
            .into_iter()
            .map(|(at, _)| (&*pod.container(at).name, at))
            .collect();
        let places = named.filter_map(|name| places.get(name).copied());
        Annotated(places.collect())
    }

    pub(super) fn names(&self, at: ContainerRef) -> bool {
        self.0.contains(&at)
    }

    pub(super) fn names_any(&self) -> bool {
        !self.0.is_empty()
    }
}

pub(super) fn apparmor_annotation(profile: &crate::pod::field::Confinement<'_>) -> String {
    match (&*profile.type_, &profile.localhost_profile) {
        ("Localhost", Some(name)) => format!("localhost/{}", &**name),
        ("Unconfined", _) => "unconfined".to_owned(),
        _ => "runtime/default".to_owned(),
    }
}
