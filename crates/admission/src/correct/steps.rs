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
use super::uid_collector::{MIRRORED, Mirror, has_collector};
use super::{conflicts, devices, home, marker, restricted, runner_features, storage, volumes};
use crate::gitlab::role::{Role, containers};
use crate::pod::Pod;
use crate::pod::effective::effective;
use crate::pod::field::Field;
use crate::pod::place::{ContainerRef, Place};
use crate::profile::effective::EffectiveRules;
use crate::profile::{EffectiveProfile, Profile};
use crate::standards::Level;

/// Makes `pod` match the profile in a namespace at `level`, and returns the
/// changes.
pub(crate) fn correct<'a>(
    pod: &mut Pod<'a>,
    profile: &EffectiveProfile<'a>,
    level: Level,
) -> Result<(Vec<Change<'a>>, Vec<PatchOperation>), Refusal> {
    conflicts::find_in_size(pod)?;
    conflicts::find_in_names(pod)?;
    if let Some(required) = profile
        .pod()
        .set()
        .annotations()
        .get(conflicts::REQUIRED_SCC)
    {
        conflicts::find_scc(pod, required)?;
    }
    let mark = profile.is_marked().then(|| marker::of(profile, level));
    let profile = &profile.for_user(kept_user(pod, profile.profile()));
    let mut corrector = Corrector::new(pod);
    correct_pod(&mut corrector, profile)?;
    let annotated = Annotated::of(corrector.pod());
    let mirror = Mirror::of(corrector.pod(), profile);
    // Where there is a collector, helper gives the job's files to the user of build, which
    // only root can. The runner's image is root.
    let changes_owner = has_collector(corrector.pod()) && level != Level::Restricted;
    for (at, role) in containers(corrector.pod()) {
        let (scope, rules) = profile.rules(at.list, corrector.pod().container(at));
        let rules = &rules;
        let place = Place::Container(at);
        let follows = mirror.as_ref().is_some_and(|m| m.collector == place);
        let stays_root = changes_owner && role == Role::Helper;
        let applies = |field: &Field| !(follows && MIRRORED.contains(field));
        let applies_to = |part: Part, field: &Field| {
            let is_user = stays_root && part == Part::IfUnset && *field == Field::RunAsUser;
            applies(field) && !is_user
        };
        let rule = |part| By::Container(scope, part);
        correct_container(
            &mut corrector,
            at,
            rules,
            profile,
            annotated.names(at),
            rule,
            applies_to,
        );
        if level == Level::Restricted {
            corrector.by(By::Restricted);
            restricted::restrict(&mut corrector, at, role, rules);
            if applies(&Field::RunAsNonRoot) {
                restricted::restrict_user(&mut corrector, place, role, rules);
            }
        }
    }
    if level == Level::Restricted {
        restricted::seccomp_lets_podman_clone(&corrector, &profile.role(Role::Build))?;
    }
    if let Some(mirror) = mirror {
        corrector.by(By::Collector);
        mirror.follow(&mut corrector);
    }
    home::set_home(&mut corrector, profile)?;
    volumes::mount_empty_dirs(&mut corrector, profile);
    runner_features::find(corrector.pod(), profile)?;
    for (at, _) in containers(corrector.pod()) {
        let (_, rules) = profile.rules(at.list, corrector.pod().container(at));
        if sets_root(profile, &rules) {
            conflicts::root_can_start(corrector.pod(), at)?;
        }
    }
    if let Some(mark) = mark {
        corrector.by(By::Mark);
        corrector.set_annotation(marker::CORRECTED_AS.into(), mark.into());
    }
    conflicts::find(corrector.pod(), corrector.annotates())?;
    Ok(corrector.finish())
}

/// The user that `build` keeps although the profile sets another.
pub fn kept_user(pod: &Pod<'_>, profile: &Profile) -> Option<i64> {
    user_of_build(pod).filter(|user| *user > 0 && profile.keeps(*user))
}

fn user_of_build(pod: &Pod<'_>) -> Option<i64> {
    let (at, _) = containers(pod)
        .into_iter()
        .find(|(_, role)| *role == Role::Build)?;
    effective(pod, Place::Container(at), Field::RunAsUser)?.int()
}

/// Whether the profile sets the user of the containers that `rules` are for.
fn sets_root(profile: &EffectiveProfile<'_>, rules: &EffectiveRules<'_>) -> bool {
    let pod = profile.pod();
    let contexts = [
        rules.set().security_context(),
        rules.if_unset().security_context(),
        pod.set().security_context(),
        pod.if_unset().security_context(),
    ];
    let fields = [Field::RunAsUser, Field::RunAsNonRoot];
    fields
        .iter()
        .any(|field| contexts.iter().any(|context| context.has(*field)))
}

fn correct_pod<'a>(
    corrector: &mut Corrector<'a, '_>,
    profile: &EffectiveProfile<'a>,
) -> Result<(), Refusal> {
    corrector.by(By::Pod(Part::Set));
    let set = profile.pod().set();
    for (key, value) in set.annotations() {
        if !devices::is_list(key) {
            corrector.set_annotation(key.as_str().into(), value.as_str().into());
        }
    }
    let of_profile = set.annotations().iter();
    let of_profile = of_profile.filter(|(key, _)| devices::is_list(key));
    let of_profile: Vec<_> = of_profile.map(|(key, value)| (&**key, &**value)).collect();
    devices::add(corrector, &of_profile)?;
    if let Some(host_users) = set.host_users() {
        corrector.set_host_users(host_users);
    }
    for (field, value) in set.security_context().fields() {
        corrector.set_security_context(Place::Pod, field, value);
    }
    corrector.add_groups(set.security_context().supplemental_groups());
    if let Some(class) = set.runtime_class_name() {
        conflicts::find_runtime_class(corrector.pod(), class)?;
        corrector.set_runtime_class(class);
    }
    for (key, value) in set.node_selector() {
        corrector.set_node_selector(key, value);
    }
    for toleration in set.tolerations() {
        corrector.add_toleration(toleration);
    }

    corrector.by(By::Pod(Part::IfUnset));
    let if_unset = profile.pod().if_unset();
    for (key, value) in if_unset.annotations() {
        // A list of devices is one, whatever its name.
        let is_there = devices::is_list(key) && devices::has_list(corrector.pod());
        let there = corrector.pod().metadata.annotations.as_ref();
        if !is_there && there.is_none_or(|annotations| annotations.get(key).is_none()) {
            corrector.set_annotation(key.as_str().into(), value.as_str().into());
        }
    }
    if let (Some(host_users), None) = (if_unset.host_users(), corrector.pod().spec.host_users) {
        corrector.set_host_users(host_users);
    }
    for (field, value) in if_unset.security_context().fields() {
        let is_set = effective(corrector.pod(), Place::Pod, field).is_some()
            || field == Field::AppArmorProfile && Annotated::of(corrector.pod()).names_any();
        if !is_set {
            corrector.set_security_context(Place::Pod, field, value);
        }
    }
    if let (Some(class), None) = (
        if_unset.runtime_class_name(),
        &corrector.pod().spec.runtime_class_name,
    ) {
        corrector.set_runtime_class(class);
    }
    for (key, value) in if_unset.node_selector() {
        if corrector.pod().spec.node_selector.get(key).is_none() {
            corrector.set_node_selector(key, value);
        }
    }
    Ok(())
}

fn correct_container<'a>(
    corrector: &mut Corrector<'a, '_>,
    at: ContainerRef,
    rules: &EffectiveRules<'a>,
    profile: &EffectiveProfile<'a>,
    annotated: bool,
    rule: impl Fn(Part) -> By<'a>,
    applies_to: impl Fn(Part, &Field) -> bool,
) {
    let (set, if_unset) = (rules.set(), rules.if_unset());
    corrector.by(rule(Part::Set));
    let place = Place::Container(at);
    for (field, value) in set.security_context().fields() {
        if applies_to(Part::Set, &field) {
            corrector.set_security_context(place, field, value);
        }
    }
    corrector.by(rule(Part::IfUnset));
    for (field, value) in if_unset.security_context().fields() {
        // Before it was a field, it was an annotation, which counts as set,
        // too.
        let is_set = field == Field::AppArmorProfile && annotated
            || effective(corrector.pod(), place, field).is_some();
        if applies_to(Part::IfUnset, &field) && !is_set {
            corrector.set_security_context(place, field, value);
        }
    }
    corrector.by(rule(Part::Set));
    if annotated {
        let of_pod = profile.pod().set().security_context();
        sync_apparmor_annotation(corrector, at, [set.security_context(), of_pod]);
    }
    corrector.by(rule(Part::Capabilities));
    merge_capabilities(corrector, place, rules);
    corrector.by(rule(Part::Set));
    for (name, value) in set.env() {
        corrector.set_env(at, name, value.as_str().into());
    }
    corrector.by(rule(Part::IfUnset));
    for (name, value) in if_unset.env() {
        let container = corrector.pod().container(at);
        let of_profile = [set.env(), if_unset.env()];
        if container.env(name).is_none() && !storage::is_jobs(container, name, of_profile) {
            corrector.set_env(at, name, value.as_str().into());
        }
    }
    corrector.by(rule(Part::Set));
    for (resource, limit) in set.limits() {
        corrector.set_limit(at, resource, limit);
    }
    corrector.by(rule(Part::IfUnset));
    for (resource, limit) in if_unset.limits() {
        let resources = corrector.pod().container(at).resources.as_ref();
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        if limits.is_none_or(|limits| limits.get(resource).is_none()) {
            corrector.set_limit(at, resource, limit);
        }
    }
}
