//! A pod as its user sees it: what holds for each container in the end.

use serde_json::Value;

/// A pod to ask.
pub struct View(pub Value);

impl View {
    /// The container called `name`, among the regular ones or the init ones.
    pub fn container(&self, name: &str) -> &Value {
        let spec = &self.0["spec"];
        let lists = [&spec["containers"], &spec["initContainers"]];
        let mut all = lists.into_iter().filter_map(Value::as_array).flatten();
        let found = all.find(|container| container["name"] == name);
        found.unwrap_or_else(|| panic!("no container {name} in {:#}", self.0))
    }

    /// Whether there is a container called `name`.
    pub fn has(&self, name: &str) -> bool {
        let spec = &self.0["spec"];
        let lists = [&spec["containers"], &spec["initContainers"]];
        lists
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .any(|c| c["name"] == name)
    }

    /// A field of the container's `securityContext`.
    pub fn security(&self, container: &str, field: &str) -> &Value {
        &self.container(container)["securityContext"][field]
    }

    /// What holds in the container for a field that the pod can say as well.
    pub fn effective(&self, container: &str, field: &str) -> Value {
        match self.security(container, field) {
            Value::Null => self.0["spec"]["securityContext"][field].clone(),
            own => own.clone(),
        }
    }

    /// The user the container runs as; nothing where its image decides.
    pub fn uid(&self, container: &str) -> Option<i64> {
        self.effective(container, "runAsUser").as_i64()
    }

    /// The environment variable as the container's process sees it.
    pub fn env(&self, container: &str, name: &str) -> Option<String> {
        let env = self.container(container)["env"].as_array()?;
        let last = env.iter().rev().find(|var| var["name"] == name)?;
        Some(last["value"].as_str().unwrap_or_default().to_owned())
    }

    /// The volume mounted at `path`, if one is.
    pub fn mounted_at(&self, container: &str, path: &str) -> Option<&Value> {
        let mounts = self.container(container)["volumeMounts"].as_array()?;
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path)?;
        let volumes = self.0["spec"]["volumes"].as_array()?;
        volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
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
