//! What the API server would refuse, or the kubelet could not run: the rules
//! of Kubernetes 1.37's `pkg/apis/core/validation` that a profile can run into,
//! written down a second time and independently of podseal's own.

use std::collections::HashSet;

use serde_json::Value;

const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";

/// Every reason for which `pod` would be refused or never start.
pub fn refusals(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let own_ids = spec["hostUsers"] == false;
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for volume in items(&spec["volumes"]) {
        if !names.insert(&volume["name"]) {
            problems.push(format!("volume {} is there twice", volume["name"]));
        }
    }
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        if own_ids && spec[host] == true {
            problems.push(format!("hostUsers: false with {host}"));
        }
    }
    let of_pod = &spec["securityContext"]["seccompProfile"];
    problems.extend(seccomp_differs(pod, SECCOMP_OF_POD, of_pod));
    for container in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
        let rules = [
            escalation(container),
            proc_mount(container, own_ids),
            root(spec, container),
            unmapped(spec, container, own_ids),
            extended_resources(&container["resources"]),
            mounts(container, &names),
            apparmor(pod, container),
            seccomp(pod, container),
        ];
        let message = |problem| format!("container {}: {problem}", container["name"]);
        problems.extend(rules.into_iter().flatten().map(message));
    }
    problems
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn escalation(container: &Value) -> Option<String> {
    let context = &container["securityContext"];
    if context["allowPrivilegeEscalation"] != false {
        return None;
    }
    if context["privileged"] == true {
        return Some("privileged without privilege escalation".to_owned());
    }
    // Literally: the API server accepts `SYS_ADMIN`.
    items(&context["capabilities"]["add"])
        .any(|name| name == "CAP_SYS_ADMIN")
        .then(|| "CAP_SYS_ADMIN without privilege escalation".to_owned())
}

fn proc_mount(container: &Value, own_ids: bool) -> Option<String> {
    let unmasked = container["securityContext"]["procMount"] == "Unmasked";
    (unmasked && !own_ids).then(|| "procMount Unmasked without hostUsers: false".to_owned())
}

fn effective<'v>(spec: &'v Value, container: &'v Value, field: &str) -> &'v Value {
    match &container["securityContext"][field] {
        Value::Null => &spec["securityContext"][field],
        own => own,
    }
}

fn root(spec: &Value, container: &Value) -> Option<String> {
    let non_root = effective(spec, container, "runAsNonRoot") == true;
    let root = effective(spec, container, "runAsUser") == 0;
    (non_root && root).then(|| "runAsNonRoot as uid 0".to_owned())
}

fn unmapped(spec: &Value, container: &Value, own_ids: bool) -> Option<String> {
    let id = |field| effective(spec, container, field).as_i64();
    let mut fields = ["runAsUser", "runAsGroup"].into_iter();
    let field = fields.find(|field| own_ids && id(field).is_some_and(|id| id > 65_535))?;
    Some(format!("{field} has no place in the user namespace"))
}

fn extended_resources(resources: &Value) -> Option<String> {
    for list in ["limits", "requests"] {
        for name in resources[list]
            .as_object()
            .into_iter()
            .flat_map(|o| o.keys())
        {
            let (limit, request) = (&resources["limits"][name], &resources["requests"][name]);
            let extended = name.contains('/');
            if extended && limit.is_null() {
                return Some(format!("a request for {name} without a limit"));
            }
            if extended && !request.is_null() && limit != request {
                return Some(format!("{name}: the request is not the limit"));
            }
        }
    }
    None
}

fn mounts(container: &Value, volumes: &HashSet<&Value>) -> Option<String> {
    let mut paths = HashSet::new();
    for mount in items(&container["volumeMounts"]) {
        if !paths.insert(&mount["mountPath"]) {
            return Some(format!("two mounts at {}", mount["mountPath"]));
        }
        if !volumes.contains(&mount["name"]) {
            return Some(format!("there is no volume {}", mount["name"]));
        }
    }
    None
}

fn apparmor(pod: &Value, container: &Value) -> Option<String> {
    let key = format!("{APPARMOR}{}", container["name"].as_str()?);
    let annotation = pod["metadata"]["annotations"][key].as_str()?;
    let field = match &container["securityContext"]["appArmorProfile"] {
        Value::Null => &pod["spec"]["securityContext"]["appArmorProfile"],
        own => own,
    };
    let as_annotation = match field["type"].as_str()? {
        "Localhost" => format!("localhost/{}", field["localhostProfile"].as_str()?),
        "Unconfined" => "unconfined".to_owned(),
        _ => "runtime/default".to_owned(),
    };
    (annotation != as_annotation)
        .then(|| format!("AppArmor is {annotation} by annotation and {as_annotation} by field"))
}

/// What a container inherits from the pod is not compared with its annotation.
fn seccomp(pod: &Value, container: &Value) -> Option<String> {
    let key = format!("{SECCOMP}{}", container["name"].as_str()?);
    seccomp_differs(pod, &key, &container["securityContext"]["seccompProfile"])
}

fn seccomp_differs(pod: &Value, key: &str, field: &Value) -> Option<String> {
    let annotation = pod["metadata"]["annotations"][key].as_str()?;
    let agree = match field["type"].as_str()? {
        "Localhost" => annotation == format!("localhost/{}", field["localhostProfile"].as_str()?),
        "Unconfined" => annotation == "unconfined",
        _ => ["runtime/default", "docker/default"].contains(&annotation),
    };
    (!agree).then(|| format!("seccomp is {annotation} by annotation and {field} by field"))
}
