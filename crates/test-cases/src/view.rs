//! A pod as its user sees it: the effective values of each container. [`View`] asks
//! by a container's name, the functions ask a container.

use serde_json::Value;

/// A pod to read from.
pub struct View(pub Value);

impl View {
    /// The container called `name`, among the regular ones or the init ones.
    pub fn container(&self, name: &str) -> &Value {
        container(&self.0, name)
    }

    /// Whether there is a container called `name`.
    pub fn has(&self, name: &str) -> bool {
        containers(&self.0).any(|container| container["name"] == name)
    }

    /// A field of the container's `securityContext`.
    pub fn security(&self, container: &str, field: &str) -> &Value {
        &self.container(container)["securityContext"][field]
    }

    /// The container's effective value of a field that the pod can set, too.
    pub fn effective(&self, container: &str, field: &str) -> Value {
        effective(&self.0, self.container(container), field).clone()
    }

    /// The user that the container runs as; none if its image decides.
    pub fn uid(&self, container: &str) -> Option<i64> {
        self.effective(container, "runAsUser").as_i64()
    }

    /// The environment variable as the container's process sees it.
    pub fn env(&self, container: &str, name: &str) -> Option<String> {
        let var = variable(self.container(container), name)?;
        Some(var["value"].as_str().unwrap_or_default().to_owned())
    }

    /// The volume mounted at `path`, if one is.
    pub fn mounted_at(&self, container: &str, path: &str) -> Option<&Value> {
        volume(&self.0, volume_at(self.container(container), path)?)
    }

    /// `capabilities.add` or `.drop`.
    pub fn capabilities(&self, container: &str, list: &str) -> Vec<&str> {
        let names = self.security(container, "capabilities")[list].as_array();
        names
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// The limit of a resource.
    pub fn limit(&self, container: &str, resource: &str) -> Option<&str> {
        self.container(container)["resources"]["limits"][resource].as_str()
    }

    /// The names of the regular containers.
    pub fn containers(&self) -> Vec<&str> {
        let all = self.0["spec"]["containers"].as_array();
        all.into_iter()
            .flatten()
            .filter_map(|c| c["name"].as_str())
            .collect()
    }
}

/// The containers of `pod`, the init containers first.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    lists.into_iter().flatten().flatten()
}

/// The container called `name`, in either list.
pub fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    containers(pod)
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("there is a container {name} in {pod}"))
}

/// The same, to be changed.
pub fn container_mut<'p>(pod: &'p mut Value, name: &str) -> &'p mut Value {
    let spec = pod["spec"].as_object_mut().expect("a pod has a spec");
    spec.iter_mut()
        .filter(|(key, _)| key.ends_with("ontainers"))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("there is a container {name}"))
}

/// The effective value of a field of `securityContext`: the container's own, or the
/// pod's.
pub fn effective<'p>(pod: &'p Value, container: &'p Value, field: &str) -> &'p Value {
    match &container["securityContext"][field] {
        Value::Null => &pod["spec"]["securityContext"][field],
        own => own,
    }
}

/// The environment variable: of a repeated name the last counts.
fn variable<'p>(container: &'p Value, name: &str) -> Option<&'p Value> {
    let env = container["env"].as_array()?;
    env.iter().rev().find(|var| var["name"] == name)
}

/// The `HOME` a container starts with.
pub fn home(container: &Value) -> Option<&str> {
    variable(container, "HOME")?["value"].as_str()
}

/// The name of the volume mounted at exactly `path`.
pub fn volume_at<'p>(container: &'p Value, path: &str) -> Option<&'p str> {
    let mounts = container["volumeMounts"].as_array()?;
    let mount = mounts.iter().find(|mount| mount["mountPath"] == path)?;
    mount["name"].as_str()
}

/// The volume of `pod` called `name`.
pub fn volume<'p>(pod: &'p Value, name: &str) -> Option<&'p Value> {
    let volumes = pod["spec"]["volumes"].as_array()?;
    volumes.iter().find(|volume| volume["name"] == name)
}
