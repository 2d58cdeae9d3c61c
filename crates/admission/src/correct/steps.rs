//! The changes that make a job pod match its profile.
//!
//! The rules run in a fixed order, each on the pod as the previous one left it.
//! [`conflicts::find`] is last: a pod that the API server would reject, or that
//! could never run, is denied here with a reason that its author understands.

use json_patch::PatchOperation;

use super::apparmor::{Annotated, sync_apparmor_annotation};
use super::capabilities::merge_capabilities;
use super::change::{By, Change, Part};
use super::editor::Corrector;
use super::refusal::Refusal;
use super::uid_collector::{MIRRORED, Mirror};
use super::{conflicts, home, marker, restricted, runner_features};
use crate::gitlab::role::{Role, containers};
use crate::pod::Pod;
use crate::pod::effective::effective;
use crate::pod::field::Field;
use crate::pod::place::{ContainerRef, Place};
use crate::profile::overrides::Adjusted;
use crate::profile::{PodFields, Profile, Rules};
use crate::standards::Level;

/// Makes `pod` match the profile in a namespace at `level`, and returns the
/// changes.
pub(crate) fn correct<'a>(
    pod: &mut Pod<'a>,
    adjusted: &Adjusted<'a>,
    level: Level,
) -> Result<(Vec<Change<'a>>, Vec<PatchOperation>), Refusal> {
    conflicts::find_in_size(pod)?;
    conflicts::find_in_names(pod)?;
    let profile = adjusted.profile;
    let mut corrector = Corrector::new(pod);
    correct_pod(&mut corrector, adjusted);
    let annotated = Annotated::of(corrector.pod());
    let mirror = Mirror::of(corrector.pod(), profile);
    for (at, role) in containers(corrector.pod()) {
        let rules = profile.containers.role(role);
        let place = Place::Container(at);
        let follows = mirror.as_ref().is_some_and(|m| m.collector == place);
        let applies_to = |field: &Field| !(follows && MIRRORED.contains(field));
        let rule = |part| By::Container(role, part);
        correct_container(
            &mut corrector,
            at,
            rules,
            adjusted,
            annotated.names(at),
            rule,
            applies_to,
        );
        if level == Level::Restricted {
            corrector.by(By::Restricted);
            restricted::restrict(&mut corrector, at, role, rules);
            if applies_to(&Field::RunAsNonRoot) {
                restricted::restrict_user(&mut corrector, place, role, rules);
            }
        }
    }
    if level == Level::Restricted {
        restricted::seccomp_lets_podman_clone(&corrector, &profile.containers.build)?;
    }
    if let Some(mirror) = mirror {
        corrector.by(By::Collector);
        mirror.follow(&mut corrector);
    }
    home::set_home(&mut corrector, adjusted)?;
    runner_features::find(corrector.pod(), profile)?;
    for (at, role) in containers(corrector.pod()) {
        if sets_root(profile, role) {
            conflicts::root_can_start(corrector.pod(), at)?;
        }
    }
    if adjusted.is_marked() {
        corrector.by(By::Mark);
        let mark = marker::of(adjusted, level);
        corrector.set_annotation(marker::CORRECTED_AS.into(), mark.into());
    }
    conflicts::find(corrector.pod(), corrector.annotates())?;
    Ok(corrector.finish())
}

/// Whether the profile sets the user of the containers of `role`.
fn sets_root(profile: &Profile, role: Role) -> bool {
    let (rules, pod) = (profile.containers.role(role), &profile.pod);
    let contexts = [
        &rules.set.security_context,
        &rules.if_unset.security_context,
        &pod.set.security_context,
        &pod.if_unset.security_context,
    ];
    let fields = [Field::RunAsUser, Field::RunAsNonRoot];
    fields
        .iter()
        .any(|field| contexts.iter().any(|context| context.get(*field).is_some()))
}

fn correct_pod<'a>(corrector: &mut Corrector<'a, '_>, adjusted: &Adjusted<'a>) {
    let profile = adjusted.profile;
    corrector.by(By::Pod(Part::Set));
    let PodFields {
        annotations,
        host_users,
        security_context,
    } = &profile.pod.set;
    for (key, value) in annotations {
        corrector.set_annotation(key.as_str().into(), value.as_str().into());
    }
    if let Some(host_users) = *host_users {
        corrector.set_host_users(host_users);
    }
    for (field, value) in security_context.fields() {
        corrector.set_security_context(Place::Pod, field, adjusted.value(field, value));
    }

    corrector.by(By::Pod(Part::IfUnset));
    let PodFields {
        annotations,
        host_users,
        security_context,
    } = &profile.pod.if_unset;
    for (key, value) in annotations {
        let there = corrector.pod().metadata.annotations.as_ref();
        if there.is_none_or(|annotations| annotations.get(key).is_none()) {
            corrector.set_annotation(key.as_str().into(), value.as_str().into());
        }
    }
    if let (Some(host_users), None) = (*host_users, corrector.pod().spec.host_users) {
        corrector.set_host_users(host_users);
    }
    for (field, value) in security_context.fields() {
        let is_set = effective(corrector.pod(), Place::Pod, field).is_some()
            || field == Field::AppArmorProfile && Annotated::of(corrector.pod()).names_any();
        if !is_set {
            corrector.set_security_context(Place::Pod, field, adjusted.value(field, value));
        }
    }
}

fn correct_container<'a>(
    corrector: &mut Corrector<'a, '_>,
    at: ContainerRef,
    rules: &'a Rules,
    adjusted: &Adjusted<'a>,
    annotated: bool,
    rule: impl Fn(Part) -> By,
    applies_to: impl Fn(&Field) -> bool,
) {
    corrector.by(rule(Part::Set));
    let place = Place::Container(at);
    for (field, value) in rules.set.security_context.fields() {
        if applies_to(&field) {
            corrector.set_security_context(place, field, adjusted.value(field, value));
        }
    }
    corrector.by(rule(Part::IfUnset));
    for (field, value) in rules.if_unset.security_context.fields() {
        // Before it was a field, it was an annotation, which counts as set,
        // too.
        let is_set = field == Field::AppArmorProfile && annotated
            || effective(corrector.pod(), place, field).is_some();
        if applies_to(&field) && !is_set {
            corrector.set_security_context(place, field, adjusted.value(field, value));
        }
    }
    corrector.by(rule(Part::Set));
    let of_pod = &adjusted.profile.pod.set.security_context;
    if annotated {
        let set = [&rules.set.security_context, of_pod];
        sync_apparmor_annotation(corrector, at, set);
    }
    corrector.by(rule(Part::Capabilities));
    merge_capabilities(corrector, place, rules);
    corrector.by(rule(Part::Set));
    for (name, value) in &rules.set.env {
        corrector.set_env(at, name, value.as_str().into());
    }
    corrector.by(rule(Part::IfUnset));
    for (name, value) in &rules.if_unset.env {
        if corrector.pod().container(at).env(name).is_none() {
            corrector.set_env(at, name, value.as_str().into());
        }
    }
    corrector.by(rule(Part::Set));
    for (resource, limit) in &rules.set.resources.limits {
        corrector.set_limit(at, adjusted.resource(resource), limit);
    }
    corrector.by(rule(Part::IfUnset));
    for (resource, limit) in &rules.if_unset.resources.limits {
        let resource = adjusted.resource(resource);
        let resources = corrector.pod().container(at).resources.as_ref();
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        if limits.is_none_or(|limits| limits.get(resource).is_none()) {
            corrector.set_limit(at, resource, limit);
        }
    }
}
