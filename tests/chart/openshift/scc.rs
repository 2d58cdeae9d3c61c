//! What OpenShift's admission plugin makes of a pod under one
//! SecurityContextConstraints: it fills in what is left open, then checks.
//!
//! Written after the documentation, "Managing security context constraints"
//! (OpenShift Container Platform 4.17), and the plugin's source, openshift's
//! apiserver-library-go. No OpenShift runs here.

use serde_json::{Value, json};

/// The SELinux level, first user and group that OpenShift gave the namespace.
pub(crate) const LEVEL: &str = "s0:c26,c5";
const FIRST_ID: i64 = 1_000_660_000;
const IDS: i64 = 10_000;

/// OpenShift's own, as the cluster-kube-apiserver-operator installs it.
pub(crate) fn restricted_v2() -> Value {
    json!({
        "apiVersion": "security.openshift.io/v1",
        "kind": "SecurityContextConstraints",
        "metadata": {"name": "restricted-v2"},
        "allowHostDirVolumePlugin": false,
        "allowHostIPC": false,
        "allowHostNetwork": false,
        "allowHostPID": false,
        "allowHostPorts": false,
        "allowPrivilegeEscalation": false,
        "allowPrivilegedContainer": false,
        "allowedCapabilities": ["NET_BIND_SERVICE"],
        "defaultAddCapabilities": null,
        "fsGroup": {"type": "MustRunAs"},
        "groups": [],
        "priority": null,
        "readOnlyRootFilesystem": false,
        "requiredDropCapabilities": ["ALL"],
        "runAsUser": {"type": "MustRunAsRange"},
        "seLinuxContext": {"type": "MustRunAs"},
        "seccompProfiles": ["runtime/default"],
        "supplementalGroups": {"type": "RunAsAny"},
        "users": [],
        "volumes": [
            "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
            "persistentVolumeClaim", "projected", "secret",
        ],
    })
}

/// The pod as it is stored under the constraints, or what is wrong with it.
pub(crate) fn admitted(scc: &Value, pod: &Value) -> Result<Value, Vec<String>> {
    let mut pod = pod.clone();
    let mut wrong = Vec::new();
    let spec = &mut pod["spec"];
    let mut of_pod = object(&spec["securityContext"]);
    fill_pod(scc, &mut of_pod);
    check_pod(scc, spec, &of_pod, &mut wrong);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut own = object(&container["securityContext"]);
            fill_container(scc, &of_pod, &mut own);
            let name = container["name"].as_str().expect("a name").to_owned();
            let mut told = |what: &str| wrong.push(format!("{name}: {what}"));
            check_container(scc, container, &effective(&of_pod, &own), &mut told);
            container["securityContext"] = own;
        }
    }
    spec["securityContext"] = of_pod;
    if wrong.is_empty() {
        Ok(pod)
    } else {
        Err(wrong)
    }
}

/// A security context, empty where there is none.
fn object(context: &Value) -> Value {
    if context.is_object() {
        context.clone()
    } else {
        json!({})
    }
}

/// What holds for the container: its own fields, and the pod's for the rest.
fn effective(of_pod: &Value, own: &Value) -> Value {
    let mut all = object(of_pod);
    for (field, value) in own.as_object().expect("an object") {
        all[field] = value.clone();
    }
    all
}

/// The SELinux options that the constraints ask for, with the namespace's level.
fn selinux(scc: &Value) -> Value {
    assert_eq!(scc["seLinuxContext"]["type"], "MustRunAs");
    let mut options = object(&scc["seLinuxContext"]["seLinuxOptions"]);
    if options["level"].is_null() {
        options["level"] = json!(LEVEL);
    }
    options
}

/// The first and the last user that the constraints allow.
fn users(scc: &Value) -> (i64, i64) {
    let rule = &scc["runAsUser"];
    match rule["type"].as_str() {
        Some("MustRunAs") => {
            let uid = rule["uid"].as_i64().expect("a uid");
            (uid, uid)
        }
        Some("MustRunAsRange") => (FIRST_ID, FIRST_ID + IDS - 1),
        other => panic!("not modelled: {other:?}"),
    }
}

fn fill_pod(scc: &Value, of_pod: &mut Value) {
    if of_pod["seLinuxOptions"].is_null() {
        of_pod["seLinuxOptions"] = selinux(scc);
    }
    assert_eq!(scc["fsGroup"], json!({"type": "MustRunAs"}));
    if of_pod["fsGroup"].is_null() {
        of_pod["fsGroup"] = json!(FIRST_ID);
    }
    if of_pod["seccompProfile"].is_null() && !names(&scc["seccompProfiles"]).is_empty() {
        assert_eq!(scc["seccompProfiles"], json!(["runtime/default"]));
        of_pod["seccompProfile"] = json!({"type": "RuntimeDefault"});
    }
    // Indexing left nulls behind.
    let fields = of_pod.as_object_mut().expect("an object");
    fields.retain(|_, value| !value.is_null());
}

fn fill_container(scc: &Value, of_pod: &Value, own: &mut Value) {
    let known = effective(of_pod, own);
    if known["runAsUser"].is_null() {
        own["runAsUser"] = json!(users(scc).0);
    }
    let capabilities = object(&own["capabilities"]);
    let mut filled = object(&own["capabilities"]);
    for (list, more) in [
        ("add", "defaultAddCapabilities"),
        ("drop", "requiredDropCapabilities"),
    ] {
        let mut all = names(&capabilities[list]);
        for name in names(&scc[more]) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        if !all.is_empty() {
            filled[list] = json!(all);
        }
    }
    own["capabilities"] = filled;
    let user = effective(of_pod, own)["runAsUser"].as_i64();
    if known["runAsNonRoot"].is_null() && user.is_some_and(|user| user > 0) {
        own["runAsNonRoot"] = json!(true);
    }
    let default = match &scc["defaultAllowPrivilegeEscalation"] {
        Value::Null if scc["allowPrivilegeEscalation"] == false => &json!(false),
        default => default,
    };
    // Those two cannot be without: the API server would refuse the pod.
    let needs_it = own["privileged"] == true
        || names(&own["capabilities"]["add"]).contains(&"CAP_SYS_ADMIN".to_owned());
    if own["allowPrivilegeEscalation"].is_null() && !needs_it {
        own["allowPrivilegeEscalation"] = default.clone();
    }
    let fields = own.as_object_mut().expect("an object");
    fields.retain(|_, value| !value.is_null());
}

fn check_pod(scc: &Value, spec: &Value, of_pod: &Value, wrong: &mut Vec<String>) {
    check_selinux(scc, of_pod, &mut |what| wrong.push(format!("pod: {what}")));
    check_seccomp(scc, of_pod, &mut |what| wrong.push(format!("pod: {what}")));
    if of_pod["fsGroup"] != FIRST_ID {
        wrong.push("pod: fsGroup".to_owned());
    }
    for (field, allowed) in [
        ("hostNetwork", "allowHostNetwork"),
        ("hostPID", "allowHostPID"),
        ("hostIPC", "allowHostIPC"),
    ] {
        if spec[field] == true && scc[allowed] != true {
            wrong.push(format!("pod: {field}"));
        }
    }
    let allowed = names(&scc["volumes"]);
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let mut sources = volume.as_object().expect("an object").keys();
        let source = sources.find(|key| *key != "name").expect("a source");
        if !allowed.contains(source) {
            wrong.push(format!("pod: volume {source}"));
        }
    }
}

fn check_container(scc: &Value, container: &Value, context: &Value, told: &mut impl FnMut(&str)) {
    check_selinux(scc, context, told);
    check_seccomp(scc, context, told);
    if context["privileged"] == true && scc["allowPrivilegedContainer"] != true {
        told("privileged");
    }
    // Left open it is allowed.
    if context["allowPrivilegeEscalation"] != false && scc["allowPrivilegeEscalation"] == false {
        told("allowPrivilegeEscalation");
    }
    let (first, last) = users(scc);
    if !context["runAsUser"]
        .as_i64()
        .is_some_and(|user| (first..=last).contains(&user))
    {
        told(&format!("runAsUser {}", context["runAsUser"]));
    }
    let mut may_add = names(&scc["allowedCapabilities"]);
    may_add.extend(names(&scc["defaultAddCapabilities"]));
    for added in names(&context["capabilities"]["add"]) {
        if !may_add.contains(&added) {
            told(&format!("capability {added}"));
        }
    }
    let dropped = names(&context["capabilities"]["drop"]);
    for required in names(&scc["requiredDropCapabilities"]) {
        if !dropped.contains(&required) {
            told(&format!("{required} not dropped"));
        }
    }
    if scc["readOnlyRootFilesystem"] == true && context["readOnlyRootFilesystem"] != true {
        told("readOnlyRootFilesystem");
    }
    let mut ports = container["ports"].as_array().into_iter().flatten();
    if ports.any(|port| port["hostPort"].as_i64().is_some_and(|port| port > 0))
        && scc["allowHostPorts"] != true
    {
        told("hostPort");
    }
}

/// All four parts have to be those of the constraints.
fn check_selinux(scc: &Value, context: &Value, told: &mut impl FnMut(&str)) {
    let asked = selinux(scc);
    for part in ["level", "role", "type", "user"] {
        if context["seLinuxOptions"][part] != asked[part] {
            told(&format!("seLinuxOptions.{part}"));
        }
    }
}

fn check_seccomp(scc: &Value, context: &Value, told: &mut impl FnMut(&str)) {
    let name = match context["seccompProfile"]["type"].as_str() {
        None => "",
        Some("RuntimeDefault") => "runtime/default",
        Some(other) => other,
    };
    let allowed = names(&scc["seccompProfiles"]);
    let fine = if allowed.is_empty() {
        name.is_empty()
    } else {
        allowed.iter().any(|a| a == name)
    };
    if !fine {
        told("seccompProfile");
    }
}

fn names(list: &Value) -> Vec<String> {
    let names = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    names.map(ToOwned::to_owned).collect()
}
