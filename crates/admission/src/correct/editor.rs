//! Makes each change in three forms: the sentence for people, the JSON Patch for
//! the API server, and the corrected pod for the rules that follow.
//!
//! So they cannot differ: a rule that reads the pod after a change sees what the
//! API server will see. If the pod is already right, nothing changes, which makes
//! every patch idempotent.

use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::change::{By, CapabilityList, Change, Kind, Part};
use super::json_patch::Path;
use crate::pod::field::{Confinement, Field, Scalar};
use crate::pod::place::{ContainerRef, Place};
use crate::pod::security_context::SeLinuxOptions;
use crate::pod::{EnvVar, Pod, Volume, VolumeMount};
use crate::profile::effective::EmptyDir;
use crate::profile::{Medium, Toleration};
use crate::text::{Quantity, Text};

/// The older annotations for a seccomp profile.
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Changes a pod, and records the changes.
pub(crate) struct Corrector<'a, 'p> {
    pod: &'p mut Pod<'a>,
    by: By<'a>,
    changes: Vec<Change<'a>>,
    patch: Vec<PatchOperation>,
}

impl<'a, 'p> Corrector<'a, 'p> {
    pub(crate) fn new(pod: &'p mut Pod<'a>) -> Self {
        Corrector {
            pod,
            by: By::Pod(Part::Set),
            changes: Vec::new(),
            patch: Vec::new(),
        }
    }

    /// Sets the rule that makes the changes from here on.
    pub(crate) fn by(&mut self, by: By<'a>) {
        self.by = by;
    }

    /// The pod as corrected so far.
    pub(crate) fn pod(&self) -> &Pod<'a> {
        self.pod
    }

    /// Whether an annotation was changed.
    pub(crate) fn annotates(&self) -> bool {
        self.changes
            .iter()
            .any(|change| matches!(change.kind, Kind::Annotation { .. }))
    }

    pub(crate) fn finish(self) -> (Vec<Change<'a>>, Vec<PatchOperation>) {
        (self.changes, self.patch)
    }

    pub(crate) fn set_annotation(&mut self, key: Text<'a>, value: Text<'a>) {
        let annotations = &mut self.pod.metadata.annotations;
        let was = annotations.as_ref().and_then(|a| a.get(&key)).cloned();
        if was.as_ref() == Some(&value) {
            return;
        }
        let path = Path::metadata("annotations", annotations.is_some());
        self.patch
            .push(path.put(&key, was.is_some(), json!(&*value)));
        annotations
            .get_or_insert_default()
            .set(key.clone(), value.clone());
        self.record(Place::Pod, Kind::Annotation { key, value, was });
    }

    pub(crate) fn set_host_users(&mut self, value: bool) {
        let was = self.pod.spec.host_users;
        if was == Some(value) {
            return;
        }
        let path = Path::new(Place::Pod);
        self.patch
            .push(path.put("hostUsers", was.is_some(), json!(value)));
        self.pod.spec.host_users = Some(value);
        self.record(Place::Pod, Kind::HostUsers { value, was });
    }

    pub(crate) fn set_runtime_class(&mut self, value: &'a str) {
        let was = self.pod.spec.runtime_class_name.clone();
        if was.as_deref() == Some(value) {
            return;
        }
        let path = Path::new(Place::Pod);
        self.patch
            .push(path.put("runtimeClassName", was.is_some(), json!(value)));
        self.pod.spec.runtime_class_name = Some(value.into());
        self.record(Place::Pod, Kind::RuntimeClass { value, was });
    }

    pub(crate) fn set_node_selector(&mut self, key: &'a str, value: &'a str) {
        let selector = &mut self.pod.spec.node_selector;
        let was = selector.get(key).cloned();
        if was.as_deref() == Some(value) {
            return;
        }
        let path = Path::new(Place::Pod).object("nodeSelector", !selector.0.is_empty());
        self.patch.push(path.put(key, was.is_some(), json!(value)));
        selector.set(key.into(), value.into());
        self.record(Place::Pod, Kind::NodeSelector { key, value, was });
    }

    /// Adds it, unless the pod has it.
    pub(crate) fn add_toleration(&mut self, toleration: &'a Toleration) {
        let tolerations = &mut self.pod.spec.tolerations;
        let mut existing = tolerations.iter().flatten();
        if existing.any(|existing| toleration.is(existing)) {
            return;
        }
        let path = Path::new(Place::Pod).object("tolerations", tolerations.is_some());
        let value = serde_json::to_value(toleration).expect("a toleration is an object");
        self.patch.push(path.append(tolerations.is_some(), value));
        let added = Box::new(toleration.into());
        tolerations.get_or_insert_default().push(added);
        self.record(Place::Pod, Kind::Toleration(toleration));
    }

    /// Adds those that the pod does not have.
    pub(crate) fn add_groups(&mut self, groups: &[i64]) {
        let context = self.pod.spec.security_context.as_ref();
        let existing = context.and_then(|context| context.supplemental_groups.as_ref());
        let mut new = Vec::new();
        for group in groups {
            if !new.contains(group) && existing.is_none_or(|groups| !groups.contains(group)) {
                new.push(*group);
            }
        }
        if new.is_empty() {
            return;
        }
        let path = Path::new(Place::Pod).object("securityContext", context.is_some());
        match existing {
            None => self
                .patch
                .push(path.put("supplementalGroups", false, json!(new))),
            Some(_) => {
                let path = path.object("supplementalGroups", true);
                let ops = new
                    .iter()
                    .map(|group| path.clone().put("-", false, json!(group)));
                self.patch.extend(ops);
            }
        }
        let context = self.pod.security_context_mut(Place::Pod);
        context
            .supplemental_groups
            .get_or_insert_default()
            .extend(&new);
        self.record(Place::Pod, Kind::Groups(new));
    }

    pub(crate) fn set_security_context(&mut self, place: Place, field: Field, value: Scalar<'a>) {
        if let (Field::SeccompProfile, Scalar::Confinement(profile)) = (field, &value) {
            self.sync_seccomp_annotation(place, profile);
        }
        let context = self.pod.security_context(place);
        let was = context.and_then(|context| context.get(field));
        if was.as_ref() == Some(&value) {
            return;
        }
        let (parent, key) = field.key();
        let path = Path::new(place).object("securityContext", context.is_some());
        let Some(parent) = parent else {
            self.patch
                .push(path.put(key, was.is_some(), to_json(&value)));
            self.pod
                .security_context_mut(place)
                .set(field, Some(value.clone()));
            return self.record(
                place,
                Kind::SecurityContext {
                    field,
                    value: Some(value),
                    was,
                },
            );
        };
        // Only SELinux options nest. A container's replace the pod's as a
        // whole, so if the container has none yet, it gets the pod's
        // others, too.
        let own = context.and_then(|context| context.se_linux_options.clone());
        match &own {
            Some(_) => {
                let path = path.object(parent, true);
                self.patch
                    .push(path.put(key, was.is_some(), to_json(&value)));
            }
            None => {
                let mut options = self
                    .inherited_se_linux()
                    .map(se_linux_json)
                    .unwrap_or_default();
                options.insert(key.to_owned(), to_json(&value));
                self.patch
                    .push(path.put(parent, false, Value::Object(options)));
            }
        }
        let options = own.or_else(|| self.inherited_se_linux().cloned());
        let context = self.pod.security_context_mut(place);
        context.se_linux_options = options;
        context.set(field, Some(value.clone()));
        self.record(
            place,
            Kind::SecurityContext {
                field,
                value: Some(value),
                was,
            },
        );
    }

    /// Before it was a field, seccomp was an annotation. It has no effect since
    /// Kubernetes 1.27, but the API server still rejects a pod that has both
    /// with different values, so the annotation is set too, if there is one.
    fn sync_seccomp_annotation(&mut self, place: Place, profile: &Confinement<'a>) {
        let Some(annotations) = &self.pod.metadata.annotations else {
            return;
        };
        let key: Text<'a> = match place {
            Place::Pod => SECCOMP_OF_POD.into(),
            Place::Container(at) => {
                let name = &self.pod.container(at).name;
                format!("{SECCOMP_OF_CONTAINER}{}", &**name).into()
            }
        };
        let wanted = match (&*profile.type_, &profile.localhost_profile) {
            ("Localhost", Some(name)) => format!("localhost/{}", &**name),
            ("Unconfined", _) => "unconfined".to_owned(),
            _ => "runtime/default".to_owned(),
        };
        let agrees = |value: &str| {
            value == wanted || wanted == "runtime/default" && value == "docker/default"
        };
        if annotations.get(&key).is_some_and(|value| !agrees(value)) {
            self.set_annotation(key, wanted.into());
        }
    }

    fn inherited_se_linux(&self) -> Option<&SeLinuxOptions<'a>> {
        self.pod
            .spec
            .security_context
            .as_ref()?
            .se_linux_options
            .as_ref()
    }

    pub(crate) fn unset_security_context(&mut self, place: Place, field: Field) {
        let context = self.pod.security_context(place);
        let Some(was) = context.and_then(|context| context.get(field)) else {
            return;
        };
        let (parent, key) = field.key();
        let mut path = Path::new(place).object("securityContext", true);
        if let Some(parent) = parent {
            path = path.object(parent, true);
        }
        self.patch.push(path.remove(key));
        self.pod.security_context_mut(place).set(field, None);
        self.record(
            place,
            Kind::SecurityContext {
                field,
                value: None,
                was: Some(was),
            },
        );
    }

    /// Appends to `capabilities.add` or `.drop`.
    pub(crate) fn add_capabilities(
        &mut self,
        place: Place,
        list: CapabilityList,
        names: Vec<Text<'a>>,
    ) {
        if names.is_empty() {
            return;
        }
        let (path, existing) = self.capabilities(place, list);
        match existing {
            None => self
                .patch
                .push(path.put(list.key(), false, json!(strings(&names)))),
            Some(_) => {
                let path = path.object(list.key(), true);
                let ops = names
                    .iter()
                    .map(|name| path.clone().put("-", false, json!(&**name)));
                self.patch.extend(ops);
            }
        }
        let capabilities = self.capabilities_mut(place, list);
        capabilities.extend(names.iter().cloned());
        self.record(place, Kind::CapabilitiesAdded { list, names });
    }

    /// Removes from `capabilities.add` or `.drop` what `unwanted` selects.
    pub(crate) fn remove_capabilities(
        &mut self,
        place: Place,
        list: CapabilityList,
        unwanted: impl Fn(&str) -> bool,
    ) {
        let (path, existing) = self.capabilities(place, list);
        let existing = existing.unwrap_or_default();
        let (names, kept): (Vec<_>, Vec<_>) =
            existing.iter().cloned().partition(|name| unwanted(name));
        if names.is_empty() {
            return;
        }
        self.patch
            .push(path.put(list.key(), true, json!(strings(&kept))));
        *self.capabilities_mut(place, list) = kept;
        self.record(place, Kind::CapabilitiesRemoved { list, names });
    }

    fn capabilities(&self, place: Place, list: CapabilityList) -> (Path, Option<&[Text<'a>]>) {
        let context = self.pod.security_context(place);
        let capabilities = context.and_then(|context| context.capabilities.as_ref());
        let path = Path::new(place)
            .object("securityContext", context.is_some())
            .object("capabilities", capabilities.is_some());
        let names = capabilities.and_then(|capabilities| match list {
            CapabilityList::Add => capabilities.add.as_deref(),
            CapabilityList::Drop => capabilities.drop.as_deref(),
        });
        (path, names)
    }

    fn capabilities_mut(&mut self, place: Place, list: CapabilityList) -> &mut Vec<Text<'a>> {
        let context = self.pod.security_context_mut(place);
        let capabilities = context.capabilities.get_or_insert_default();
        match list {
            CapabilityList::Add => capabilities.add.get_or_insert_default(),
            CapabilityList::Drop => capabilities.drop.get_or_insert_default(),
        }
    }

    pub(crate) fn set_env(&mut self, at: ContainerRef, var: &'a str, value: Text<'a>) {
        let place = Place::Container(at);
        let container = self.pod.container(at);
        let env = Path::new(place).object("env", container.env.is_some());
        let was = match container.env(var) {
            // The API server drops an empty value, and a missing one
            // means the same.
            Some((_, old))
                if old.value_from.is_none()
                    && old.value.as_deref().unwrap_or_default() == &*value =>
            {
                return;
            }
            Some((at, old)) => {
                // If a name is repeated, the last entry applies,
                // and its position matters to `$(VAR)` references,
                // so it stays there.
                let entry = env.object(&at.to_string(), true);
                if old.value_from.is_some() {
                    self.patch.push(entry.clone().remove("valueFrom"));
                }
                self.patch
                    .push(entry.put("value", old.value.is_some(), json!(&*value)));
                Some((at, old.value.clone()))
            }
            None => {
                let entry = json!({"name": var, "value": &*value});
                self.patch.push(env.append(container.env.is_some(), entry));
                None
            }
        };
        let entry = EnvVar {
            name: var.into(),
            value: Some(value.clone()),
            value_from: None,
        };
        let vars = self.pod.container_mut(at).env.get_or_insert_default();
        match &was {
            Some((at, _)) => vars[*at] = entry,
            None => vars.push(entry),
        }
        let was = was.map(|(_, value)| value);
        self.record(
            place,
            Kind::Env {
                var: var.into(),
                value,
                was,
            },
        );
    }

    /// Sets the limit of an extended resource, and its request if there is one:
    /// the API server rejects a request that differs from the limit.
    pub(crate) fn set_limit(&mut self, at: ContainerRef, resource: &'a str, to: &'a str) {
        let place = Place::Container(at);
        let resources = self.pod.container(at).resources.as_ref();
        let limits = resources.and_then(|r| r.limits.as_ref());
        let requests = resources.and_then(|r| r.requests.as_ref());
        let limit = limits.and_then(|l| l.get(resource)).cloned();
        let request = requests.and_then(|r| r.get(resource)).cloned();
        let is_set = |quantity: &Quantity<'a>| &*quantity.0 == to;
        if limit.as_ref().is_some_and(is_set) && request.as_ref().is_none_or(is_set) {
            return;
        }
        let path = Path::new(place).object("resources", resources.is_some());
        if !limit.as_ref().is_some_and(is_set) {
            let path = path.clone().object("limits", limits.is_some());
            self.patch
                .push(path.put(resource, limit.is_some(), json!(to)));
        }
        if request.is_some() && !request.as_ref().is_some_and(is_set) {
            self.patch
                .push(path.object("requests", true).put(resource, true, json!(to)));
        }
        let quantity = Quantity(to.into());
        let resources = self.pod.container_mut(at).resources.get_or_insert_default();
        let limits = resources.limits.get_or_insert_default();
        limits.set(resource.into(), quantity.clone());
        if let (Some(requests), Some(_)) = (&mut resources.requests, &request) {
            requests.set(resource.into(), quantity);
        }
        let was = limit.map(|quantity| quantity.0);
        self.record(
            place,
            Kind::Limit {
                resource: resource.into(),
                value: to.into(),
                was,
            },
        );
    }

    pub(crate) fn add_empty_dir(&mut self, name: Text<'a>, empty_dir: EmptyDir<'a>) {
        let volumes = &mut self.pod.spec.volumes;
        let mut source = json!({});
        if let Some(limit) = empty_dir.size_limit {
            source["sizeLimit"] = limit.into();
        }
        if let Some(Medium::Memory) = empty_dir.medium {
            source["medium"] = "Memory".into();
        }
        let path = Path::new(Place::Pod).object("volumes", volumes.is_some());
        let volume = json!({"name": &*name, "emptyDir": source});
        self.patch.push(path.append(volumes.is_some(), volume));
        volumes
            .get_or_insert_default()
            .push(Volume::empty_dir(name.clone()));
        self.record(Place::Pod, Kind::Volume { name, empty_dir });
    }

    pub(crate) fn add_mount(&mut self, at: ContainerRef, volume: Text<'a>, path: Text<'a>) {
        let place = Place::Container(at);
        let mounts = &mut self.pod.container_mut(at).volume_mounts;
        let at = Path::new(place).object("volumeMounts", mounts.is_some());
        let mount = json!({"name": &*volume, "mountPath": &*path});
        self.patch.push(at.append(mounts.is_some(), mount));
        mounts.get_or_insert_default().push(VolumeMount {
            name: volume.clone(),
            mount_path: path.clone(),
            mount_propagation: None,
            read_only: false,
        });
        self.record(place, Kind::Mount { volume, path });
    }

    fn record(&mut self, place: Place, kind: Kind<'a>) {
        let name = match place {
            Place::Pod => Text::default(),
            Place::Container(at) => self.pod.container(at).name.clone(),
        };
        let by = self.by;
        self.changes.push(Change {
            place,
            by,
            name,
            kind,
        });
    }
}

fn se_linux_json(options: &SeLinuxOptions<'_>) -> serde_json::Map<String, Value> {
    let fields = [
        ("user", &options.user),
        ("role", &options.role),
        ("level", &options.level),
    ];
    let set = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)));
    set.map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

fn strings<'s>(texts: &'s [Text<'_>]) -> Vec<&'s str> {
    texts.iter().map(|text| &**text).collect()
}

fn to_json(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Bool(value) => json!(value),
        Scalar::Int(value) => json!(value),
        Scalar::Text(value) => json!(&**value),
        Scalar::Confinement(value) => match &value.localhost_profile {
            Some(profile) => json!({"type": &*value.type_, "localhostProfile": &**profile}),
            None => json!({"type": &*value.type_}),
        },
    }
}
