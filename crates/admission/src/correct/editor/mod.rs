//! Makes each change in three forms: the sentence for people, the JSON Patch for
//! the API server, and the corrected pod for the rules that follow.
//!
//! So they cannot differ: a rule that reads the pod after a change sees what the
//! API server will see. If the pod is already right, nothing changes, which makes
//! every patch idempotent.
//!
//! | file | changes |
//! |---|---|
//! | this | `securityContext` of the pod and of its containers |
//! | `pod` | annotations, scheduling, groups and volumes of the pod |
//! | `container` | variables, limits and mounts of a container |

mod container;
mod pod;

use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::change::{By, CapabilityList, Change, Kind, Part};
use super::json_patch::Path;
use crate::pod::Pod;
use crate::pod::field::{Confinement, Field, Scalar};
use crate::pod::place::Place;
use crate::pod::security_context::SeLinuxOptions;
use crate::text::Text;

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
