//! Changes to the pod itself: its annotations, where and how it runs, and its volumes.

use serde_json::json;

use super::Corrector;
use crate::correct::change::Kind;
use crate::correct::json_patch::Path;
use crate::pod::Volume;
use crate::pod::place::Place;
use crate::profile::effective::EmptyDir;
use crate::profile::{Medium, Toleration};
use crate::text::Text;

impl<'a> Corrector<'a, '_> {
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
}
