//! Changes to a container, other than its `securityContext`.

use serde_json::json;

use super::Corrector;
use crate::correct::change::Kind;
use crate::correct::json_patch::Path;
use crate::pod::place::{ContainerRef, Place};
use crate::pod::{EnvVar, VolumeMount};
use crate::text::{Quantity, Text};

impl<'a> Corrector<'a, '_> {
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
}
