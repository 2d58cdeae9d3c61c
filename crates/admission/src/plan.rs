//! The changes a job pod needs to become what its profile says.
//!
//! The rules run in a fixed order, each reading the pod as the one before left
//! it. Last comes [`conflict::find`]: what the API server would refuse, or could
//! never run, is denied here with a reason its reader can use.

use std::collections::{HashMap, HashSet};

use super::adjusted::Adjusted;
use super::change::{By, CapabilityList, Change, Part};
use super::conflict;
use super::corrector::Corrector;
use super::home;
use super::job::{BUILD, Role, UID_COLLECTOR};
use super::message::Refusal;
use super::pod::{Container, List, Place, Pod, SecurityContext};
use super::pod_security::Level;
use super::profile::{PodFields, Profile, Rules};
use super::restrict;
use super::security_context::{self as profile, Field, Scalar};
use super::shape;
use super::stamp;
use super::text::Text;

use json_patch::PatchOperation;

const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Brings `pod` to what the profile says in a namespace at `level`, and tells
/// what that took.
pub(super) fn correct<'a>(
    pod: &mut Pod<'a>,
    adjusted: &Adjusted<'a>,
    level: Level,
) -> Result<(Vec<Change<'a>>, Vec<PatchOperation>), Refusal> {
    conflict::find_in_size(pod)?;
    conflict::find_in_names(pod)?;
    let profile = adjusted.profile;
    let mut corrector = Corrector::new(pod);
    correct_pod(&mut corrector, adjusted);
    let annotated = Annotated::of(corrector.pod());
    let mirror = Mirror::of(corrector.pod(), profile);
    for (list, index, role) in containers(corrector.pod()) {
        let rules = profile.containers.role(role);
        let place = Place::Container(list, index);
        let follows = mirror.as_ref().is_some_and(|m| m.collector == place);
        let speaks_of = |field: &Field| !(follows && MIRRORED.contains(field));
        let asks = |part| By::Container(role, part);
        correct_container(
            &mut corrector,
            (list, index),
            rules,
            adjusted,
            annotated.names(list, index),
            asks,
            speaks_of,
        );
        if level == Level::Restricted {
            corrector.by(By::Restricted);
            restrict::restrict(&mut corrector, list, index, role, rules);
            if speaks_of(&Field::RunAsNonRoot) {
                restrict::restrict_user(&mut corrector, place, role, rules);
            }
        }
    }
    if level == Level::Restricted {
        restrict::seccomp_lets_podman_clone(&corrector, &profile.containers.build)?;
    }
    if let Some(mirror) = mirror {
        corrector.by(By::Collector);
        mirror.follow(&mut corrector);
    }
    home::give_home(&mut corrector, adjusted)?;
    shape::find(corrector.pod(), profile)?;
    for (list, index, role) in containers(corrector.pod()) {
        if speaks_of_root(profile, role) {
            conflict::root_can_start(corrector.pod(), list, index)?;
        }
    }
    if adjusted.is_marked() {
        corrector.by(By::Mark);
        let mark = stamp::of(adjusted, level);
        corrector.set_annotation(stamp::CORRECTED_AS.into(), mark.into());
    }
    conflict::find(corrector.pod(), corrector.annotates())?;
    Ok(corrector.finish())
}

/// Whether the profile has a say in who the containers of `role` are.
fn speaks_of_root(profile: &Profile, role: Role) -> bool {
    let (rules, pod) = (profile.containers.role(role), &profile.pod);
    let contexts = [
        &rules.set.security_context,
        &rules.default.security_context,
        &pod.set.security_context,
        &pod.default.security_context,
    ];
    let fields = [Field::RunAsUser, Field::RunAsNonRoot];
    fields
        .iter()
        .any(|field| contexts.iter().any(|context| context.get(*field).is_some()))
}

/// Every container with its role; the regular ones first, so that a reader of
/// the changes meets `build` first.
fn containers(pod: &Pod<'_>) -> Vec<(List, usize, Role)> {
    let of = |list, containers: &[Box<Container<'_>>]| -> Vec<_> {
        let roles = containers
            .iter()
            .map(|container| Role::of(list, &container.name));
        roles
            .enumerate()
            .map(|(index, role)| (list, index, role))
            .collect()
    };
    let mut all = of(List::Regular, &pod.spec.containers);
    all.extend(of(List::Init, &pod.spec.init_containers));
    all
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

    corrector.by(By::Pod(Part::Default));
    let PodFields {
        annotations,
        host_users,
        security_context,
    } = &profile.pod.default;
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
        let is_said = effective(corrector.pod(), Place::Pod, field).is_some()
            || field == Field::AppArmorProfile && Annotated::of(corrector.pod()).names_any();
        if !is_said {
            corrector.set_security_context(Place::Pod, field, adjusted.value(field, value));
        }
    }
}

fn correct_container<'a>(
    corrector: &mut Corrector<'a, '_>,
    (list, index): (List, usize),
    rules: &'a Rules,
    adjusted: &Adjusted<'a>,
    annotated: bool,
    asks: impl Fn(Part) -> By,
    speaks_of: impl Fn(&Field) -> bool,
) {
    corrector.by(asks(Part::Set));
    let place = Place::Container(list, index);
    for (field, value) in rules.set.security_context.fields() {
        if speaks_of(&field) {
            corrector.set_security_context(place, field, adjusted.value(field, value));
        }
    }
    corrector.by(asks(Part::Default));
    for (field, value) in rules.default.security_context.fields() {
        // Before it was a field it was an annotation, which says as much.
        let is_said = field == Field::AppArmorProfile && annotated
            || effective(corrector.pod(), place, field).is_some();
        if speaks_of(&field) && !is_said {
            corrector.set_security_context(place, field, adjusted.value(field, value));
        }
    }
    corrector.by(asks(Part::Set));
    let of_pod = &adjusted.profile.pod.set.security_context;
    if annotated {
        let set = [&rules.set.security_context, of_pod];
        agree_on_apparmor(corrector, list, index, set);
    }
    corrector.by(asks(Part::Capabilities));
    merge_capabilities(corrector, place, rules);
    corrector.by(asks(Part::Set));
    for (name, value) in &rules.set.env {
        corrector.set_env(list, index, name, value.as_str().into());
    }
    corrector.by(asks(Part::Default));
    for (name, value) in &rules.default.env {
        if corrector.pod().container(list, index).env(name).is_none() {
            corrector.set_env(list, index, name, value.as_str().into());
        }
    }
    corrector.by(asks(Part::Set));
    for (resource, limit) in &rules.set.resources.limits {
        corrector.set_limit(list, index, adjusted.resource(resource), limit);
    }
    corrector.by(asks(Part::Default));
    for (resource, limit) in &rules.default.resources.limits {
        let resource = adjusted.resource(resource);
        let resources = corrector.pod().container(list, index).resources.as_ref();
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        if limits.is_none_or(|limits| limits.get(resource).is_none()) {
            corrector.set_limit(list, index, resource, limit);
        }
    }
}

/// What holds for `field` at `place`: the container's own word, or the pod's.
pub(super) fn effective<'a>(pod: &Pod<'a>, place: Place, field: Field) -> Option<Scalar<'a>> {
    let get = |context: &SecurityContext<'a>| context.get(field);
    let context = pod.security_context(place);
    // A container's SELinux options replace the pod's as a whole.
    if field == Field::SeLinuxType && context.is_some_and(|c| c.se_linux_options.is_some()) {
        return context.and_then(get);
    }
    let own = context.and_then(get);
    own.or_else(|| pod.security_context(Place::Pod).and_then(get))
}

/// Before it was a field, AppArmor was an annotation. The API server refuses a
/// pod in which both stand and differ, so a profile that sets the one sets the
/// other where it is used.
fn agree_on_apparmor(
    corrector: &mut Corrector<'_, '_>,
    list: List,
    index: usize,
    set: [&profile::SecurityContext; 2],
) {
    let is_set = set
        .iter()
        .any(|context| context.app_armor_profile.is_some());
    if !is_set {
        return;
    }
    let pod = corrector.pod();
    let key = format!("{APPARMOR_ANNOTATION}{}", &*pod.container(list, index).name);
    let place = Place::Container(list, index);
    if let Some(Scalar::Confinement(profile)) = effective(pod, place, Field::AppArmorProfile) {
        let value = apparmor_annotation(&profile);
        corrector.set_annotation(key.into(), value.into());
    }
}

/// The containers that the older annotation speaks of.
struct Annotated(HashSet<(List, usize)>);

impl Annotated {
    /// Those of `pod`, whose containers have different names. They are looked
    /// up by the annotations, not the annotations by them: either may be many.
    fn of(pod: &Pod<'_>) -> Annotated {
        let entries = pod.metadata.annotations.iter().flat_map(|map| &map.0);
        let mut named = entries
            .filter_map(|(key, _)| key.strip_prefix(APPARMOR_ANNOTATION))
            .peekable();
        if named.peek().is_none() {
            return Annotated(HashSet::new());
        }
        let places: HashMap<_, _> = containers(pod)
            .into_iter()
            .map(|(list, index, _)| (&*pod.container(list, index).name, (list, index)))
            .collect();
        let places = named.filter_map(|name| places.get(name).copied());
        Annotated(places.collect())
    }

    fn names(&self, list: List, index: usize) -> bool {
        self.0.contains(&(list, index))
    }

    fn names_any(&self) -> bool {
        !self.0.is_empty()
    }
}

fn apparmor_annotation(profile: &super::pod::Confinement<'_>) -> String {
    match (&*profile.type_, &profile.localhost_profile) {
        ("Localhost", Some(name)) => format!("localhost/{}", &**name),
        ("Unconfined", _) => "unconfined".to_owned(),
        _ => "runtime/default".to_owned(),
    }
}

fn merge_capabilities<'a>(corrector: &mut Corrector<'a, '_>, place: Place, rules: &'a Rules) {
    let wanted = &rules.capabilities;
    if wanted.add.is_empty() && wanted.drop.is_empty() {
        return;
    }
    let adds = |name: &str| wanted.add.iter().any(|add| same_capability(add, name));
    let drops = |name: &str| wanted.drop.iter().any(|drop| same_capability(drop, name));
    let drops_all = drops("ALL");

    // `ALL` in `drop` stays: what is added comes back on top of it.
    corrector.remove_capabilities(place, CapabilityList::Drop, |name| {
        adds(name) && !same_capability(name, "ALL")
    });
    corrector.remove_capabilities(place, CapabilityList::Add, |name| {
        !adds(name) && (drops_all || drops(name))
    });
    for (list, names) in [
        (CapabilityList::Add, &wanted.add),
        (CapabilityList::Drop, &wanted.drop),
    ] {
        let missing = missing_capabilities(corrector.pod(), place, list, names);
        corrector.add_capabilities(place, list, missing);
    }
}

fn missing_capabilities<'a>(
    pod: &Pod<'_>,
    place: Place,
    list: CapabilityList,
    wanted: &'a [String],
) -> Vec<Text<'a>> {
    let capabilities = pod
        .security_context(place)
        .and_then(|c| c.capabilities.as_ref());
    let there = capabilities.and_then(|capabilities| match list {
        CapabilityList::Add => capabilities.add.as_deref(),
        CapabilityList::Drop => capabilities.drop.as_deref(),
    });
    let there = there.unwrap_or_default();
    let is_there = |name: &String| there.iter().any(|have| same_capability(have, name));
    wanted
        .iter()
        .filter(|name| !is_there(name))
        .map(|name| name.as_str().into())
        .collect()
}

/// Container runtimes take `CAP_CHOWN`, `CHOWN` and `chown` for one another.
pub(super) fn same_capability(a: &str, b: &str) -> bool {
    fn bare(name: &str) -> &str {
        match name.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("CAP_") => &name[4..],
            _ => name,
        }
    }
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// The runner asks the build image, in an init container, which user `build`
/// will run as, and hands the job's files to that user. The answer is only
/// right if both run as the same.
///
/// So of these fields the rules for init containers say nothing there: what
/// they set would be taken back, and once more at every correction.
struct Mirror {
    build: Place,
    collector: Place,
}

/// The fields that say which user a container runs as.
const MIRRORED: [Field; 3] = [Field::RunAsUser, Field::RunAsGroup, Field::RunAsNonRoot];

impl Mirror {
    /// The two containers, where `profile` speaks of `build` at all, or of who
    /// either of them is: a profile that changes one would part them.
    fn of(pod: &Pod<'_>, profile: &Profile) -> Option<Mirror> {
        let (build, init) = (&profile.containers.build, &profile.containers.init);
        let speaks_of_build =
            build.set != Default::default() || build.default != Default::default();
        let of_users = [
            &init.set.security_context,
            &init.default.security_context,
            &profile.pod.set.security_context,
            &profile.pod.default.security_context,
        ];
        let says = |field: &Field| of_users.iter().any(|context| context.get(*field).is_some());
        if !speaks_of_build && !MIRRORED.iter().any(says) {
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
            build: Place::Container(List::Regular, build),
            collector: Place::Container(List::Init, collector),
        })
    }

    fn follow(&self, corrector: &mut Corrector<'_, '_>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_compared_as_container_runtimes_do() {
        assert!(same_capability("CAP_SETUID", "setuid"));
        assert!(same_capability("ALL", "all"));
        assert!(!same_capability("SETUID", "SETGID"));
        assert!(!same_capability("CAP_", "é"));
    }
}
