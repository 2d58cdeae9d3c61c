//! What a correction must not change: every field that the profile does not set.

use serde_json::{Value, json};

/// `before` and `after` a correction by `profile`, both without what a profile may
/// change. If the two differ, the correction changed too much.
///
/// Lists must begin with their old entries, in order. Further entries are checked
/// to be podseal's own and then removed.
pub fn without_profile_fields(before: &Value, after: &Value, profile: &str) -> (Value, Value) {
    let (mut was, mut is) = (before.clone(), after.clone());
    remove_additions(&mut is, before, profile);
    remove_pod_fields(&mut was, profile);
    remove_pod_fields(&mut is, profile);
    (was, is)
}

/// The first unknown field of `before` (its name begins with an `x`) that is
/// missing or changed in `after`, if any. Lists only grow at their end, so it has
/// the same index. A confinement is replaced as a whole, since its other fields
/// depend on its `type`.
pub fn lost_unknown_field(before: &Value, after: &Value) -> Option<String> {
    match before {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let same = after.get(key);
            if ["seccompProfile", "appArmorProfile"].contains(&key.as_str()) {
                return None;
            }
            if key.starts_with('x') {
                return (same != Some(value)).then(|| key.clone());
            }
            lost_unknown_field(value, same.unwrap_or(&Value::Null))
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let same = after.get(index);
            lost_unknown_field(item, same.unwrap_or(&Value::Null))
        }),
        _ => None,
    }
}

/// What a profile may change in a container of each role: keys of
/// `securityContext`, whether capabilities and the fuse limit, and HOME.
struct ProfileFields {
    fields: &'static [&'static str],
    grants: bool,
    home: bool,
}

const BUILD: ProfileFields = ProfileFields {
    fields: &[
        "privileged",
        "allowPrivilegeEscalation",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "procMount",
    ],
    grants: true,
    home: true,
};
const HELPER: ProfileFields = ProfileFields {
    fields: &["privileged", "runAsUser", "runAsNonRoot"],
    grants: false,
    home: true,
};
const INIT: ProfileFields = ProfileFields {
    fields: &["privileged", "runAsUser", "runAsNonRoot"],
    grants: false,
    home: false,
};
const COLLECTOR: ProfileFields = ProfileFields {
    fields: &["privileged", "runAsUser", "runAsGroup", "runAsNonRoot"],
    grants: false,
    home: false,
};
const SERVICE: ProfileFields = ProfileFields {
    fields: &[],
    grants: false,
    home: false,
};

/// Roles are determined by list and name.
fn profile_fields(list: &str, name: &Value) -> ProfileFields {
    match (list, name.as_str().unwrap_or_default()) {
        ("containers", "build") => BUILD,
        ("containers", "helper") => HELPER,
        ("initContainers", "init-build-uid-gid-collector") => COLLECTOR,
        ("initContainers", "init-permissions" | "init-steps-bootstrap") => INIT,
        _ => SERVICE,
    }
}

/// Shortens `after`'s lists to their old length, so that the rest must equal the
/// old entries, in order. The removed entries must be podseal's own.
fn remove_additions(after: &mut Value, before: &Value, profile: &str) {
    let cut = |after: &mut Value, before: &Value, key: &str, ours: fn(&Value) -> bool| {
        let length = before[key].as_array().map_or(0, Vec::len);
        let Some(list) = after.get_mut(key).and_then(Value::as_array_mut) else {
            return;
        };
        let added = list.split_off(length.min(list.len()));
        let is_twice = |n: usize| {
            added[..n]
                .iter()
                .any(|other| other["name"] == added[n]["name"])
        };
        assert!(profile != "none" || added.is_empty(), "{added:?}");
        assert!(
            added.iter().all(ours) && !(0..added.len()).any(is_twice),
            "{added:?}"
        );
        if before[key].is_null() && list.is_empty() {
            match before.get(key) {
                Some(null) => after[key] = null.clone(),
                None => remove(after, key),
            }
        }
    };
    cut(&mut after["spec"], &before["spec"], "volumes", |volume| {
        is_ours(volume) && *volume == json!({"name": volume["name"], "emptyDir": {}})
    });
    each_container(&mut after["spec"], |list, index, container| {
        let before = &before["spec"][list][index];
        cut(container, before, "env", |var| {
            let name = var["name"].as_str().unwrap_or_default();
            VARIABLES.contains(&name)
        });
        cut(container, before, "volumeMounts", is_ours);
        for key in ["add", "drop"] {
            let was = before["securityContext"]["capabilities"][key].as_array();
            let is = container.pointer(&format!("/securityContext/capabilities/{key}"));
            keeps_order(was, is.and_then(Value::as_array));
        }
    });
}

/// The variables that a built-in profile adds.
const VARIABLES: [&str; 6] = [
    "HOME",
    "GIT_CONFIG_GLOBAL",
    "CONTAINERS_STORAGE_CONF",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "BUILDAH_ISOLATION",
];

/// Whether a volume, or the volume of a mount, is one that podseal adds.
fn is_ours(volume: &Value) -> bool {
    let name = volume["name"].as_str().unwrap_or_default();
    let ours = [
        "podseal-home",
        "podseal-git",
        "podseal-containers",
        "podseal-tmp",
    ];
    ours.iter().any(|ours| name.starts_with(ours))
}

/// Capabilities keep their order, new ones follow them, and only those in a profile
/// are added or removed. A name that is `null` is read as the empty one, and may be
/// written so.
fn keeps_order(was: Option<&Vec<Value>>, is: Option<&Vec<Value>>) {
    let named = |name: &Value| {
        let name = name.as_str().unwrap_or_default().to_uppercase();
        let bare = name.strip_prefix("CAP_").unwrap_or(&name);
        ["SETUID", "SETGID", "SETFCAP", "SYS_CHROOT"].contains(&bare)
    };
    let mut is = is.into_iter().flatten().peekable();
    for name in was.into_iter().flatten() {
        let same = |kept: &&Value| *kept == name || name.is_null() && *kept == "";
        if is.next_if(same).is_none() {
            assert!(named(name), "{name} is lost");
        }
    }
    assert!(is.all(named), "something is added that no profile names");
}

fn each_container(spec: &mut Value, mut each: impl FnMut(&str, usize, &mut Value)) {
    for key in ["initContainers", "containers"] {
        let list = spec.get_mut(key).and_then(Value::as_array_mut);
        for (index, container) in list.into_iter().flatten().enumerate() {
            each(key, index, container);
        }
    }
}

/// Removes from a pod what a profile sets.
fn remove_pod_fields(pod: &mut Value, profile: &str) {
    if profile == "openshift" {
        let keys = [
            "devices.crio.io",
            "io.kubernetes.cri-o.Devices",
            "openshift.io/required-scc",
        ];
        remove_keys(&mut pod["metadata"], "annotations", &keys);
    }
    if profile == "userns" {
        remove_keys(pod, "spec", &["hostUsers"]);
    }
    let mut of_the_pod = pod["spec"]["securityContext"]["seLinuxOptions"].clone();
    remove(&mut of_the_pod, "type");
    // What comes along is what Kubernetes knows.
    remove(&mut of_the_pod, "xUnknown");
    each_container(&mut pod["spec"], |list, _, container| {
        let ProfileFields {
            fields,
            grants,
            home,
        } = profile_fields(list, &container["name"]);
        if grants {
            if let Some(context) = container.get_mut("securityContext") {
                remove_keys(context, "capabilities", &["add", "drop"]);
                remove_keys(context, "seLinuxOptions", &["type"]);
                // A container's options replace the pod's, so where a profile
                // gives it some the pod's come along.
                if context.get("seLinuxOptions") == Some(&of_the_pod) {
                    remove(context, "seLinuxOptions");
                }
            }
            if let Some(resources) = container.get_mut("resources") {
                remove_keys(resources, "limits", &["github.com/fuse"]);
                remove_keys(resources, "requests", &["github.com/fuse"]);
            }
            remove_keys(container, "resources", &[""]);
        }
        remove_keys(container, "securityContext", fields);
        // Only `helper` loses a HOME of its own: that of `build` is reused.
        let vars = container.get_mut("env").and_then(Value::as_array_mut);
        let replaced = |var: &&mut Value| home && !grants && var["name"] == "HOME";
        for var in vars.into_iter().flatten().filter(replaced) {
            remove(var, "value");
            remove(var, "valueFrom");
        }
    });
}

/// Removes `keys` from the object at `key`, and the object itself if nothing else
/// is in it: a correction may have to create it.
fn remove_keys(parent: &mut Value, key: &str, keys: &[&str]) {
    if keys.is_empty() {
        return;
    }
    if let Some(Value::Object(fields)) = parent.get_mut(key) {
        fields.retain(|key, _| !keys.contains(&key.as_str()));
    }
    let is_empty = |value: &Value| value.is_null() || *value == json!({});
    if parent.get(key).is_some_and(is_empty) {
        remove(parent, key);
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Value::Object(fields) = object {
        fields.remove(key);
    }
}
