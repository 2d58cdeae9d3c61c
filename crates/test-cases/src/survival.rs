//! What must survive a correction: everything the profile has no word for.

use serde_json::{Value, json};

/// `before` and `after` a correction by `profile`, both without what a profile
/// may change. The two are equal, or the correction went too far.
///
/// Lists keep what they held, in order, as their beginning; what follows is
/// checked to be podseal's own and then cut off.
pub fn unspoken(before: &Value, after: &Value, profile: &str) -> (Value, Value) {
    let (mut was, mut is) = (before.clone(), after.clone());
    take_back_additions(&mut is, before, profile);
    forget_pod(&mut was, profile);
    forget_pod(&mut is, profile);
    (was, is)
}

/// The first unknown field of `before` (its name begins with an `x`) and that
/// `after` has not as it was, if there is one. Lists only grow at their end, so it
/// has the same index. A confinement is replaced as a whole, since what is beside
/// its `type` belongs to that.
pub fn strangers(before: &Value, after: &Value) -> Option<String> {
    match before {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let same = after.get(key);
            if ["seccompProfile", "appArmorProfile"].contains(&key.as_str()) {
                return None;
            }
            if key.starts_with('x') {
                return (same != Some(value)).then(|| key.clone());
            }
            strangers(value, same.unwrap_or(&Value::Null))
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let same = after.get(index);
            strangers(item, same.unwrap_or(&Value::Null))
        }),
        _ => None,
    }
}

/// What a profile may change in a container of each role: keys of
/// `securityContext`, whether capabilities and the fuse limit, and HOME.
struct Spoken {
    fields: &'static [&'static str],
    grants: bool,
    home: bool,
}

const BUILD: Spoken = Spoken {
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
const HELPER: Spoken = Spoken {
    fields: &["privileged", "runAsUser"],
    grants: false,
    home: true,
};
const INIT: Spoken = Spoken {
    fields: &["privileged", "runAsUser"],
    grants: false,
    home: false,
};
const COLLECTOR: Spoken = Spoken {
    fields: &["privileged", "runAsUser", "runAsGroup", "runAsNonRoot"],
    grants: false,
    home: false,
};
const SERVICE: Spoken = Spoken {
    fields: &[],
    grants: false,
    home: false,
};

/// Roles are determined by list and name.
fn spoken(list: &str, name: &Value) -> Spoken {
    match (list, name.as_str().unwrap_or_default()) {
        ("containers", "build") => BUILD,
        ("containers", "helper") => HELPER,
        ("initContainers", "init-build-uid-gid-collector") => COLLECTOR,
        ("initContainers", name) if name.starts_with("init-") => INIT,
        _ => SERVICE,
    }
}

/// Shortens `after`'s lists to the length they had, so that what remains must
/// equal what was there, in order. What is cut off has to be podseal's own.
fn take_back_additions(after: &mut Value, before: &Value, profile: &str) {
    let home = !["none", "root-fuse"].contains(&profile);
    let cut = |after: &mut Value, before: &Value, key: &str, ours: fn(&Value) -> bool| {
        let length = before[key].as_array().map_or(0, Vec::len);
        let Some(list) = after.get_mut(key).and_then(Value::as_array_mut) else {
            return;
        };
        let added = list.split_off(length.min(list.len()));
        assert!(
            added.len() <= usize::from(home) && added.iter().all(ours),
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
        let name = volume["name"].as_str().unwrap_or_default();
        name.starts_with("podseal-home") && *volume == json!({"name": name, "emptyDir": {}})
    });
    each_container(&mut after["spec"], |list, index, container| {
        let before = &before["spec"][list][index];
        cut(container, before, "env", |var| var["name"] == "HOME");
        cut(container, before, "volumeMounts", |mount| {
            mount["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("podseal-home"))
        });
        for key in ["add", "drop"] {
            let was = before["securityContext"]["capabilities"][key].as_array();
            let is = container.pointer(&format!("/securityContext/capabilities/{key}"));
            keeps_order(was, is.and_then(Value::as_array));
        }
    });
}

/// Capabilities that are kept keep their order, what comes follows them, and
/// nothing comes or goes but what a profile names. A name that is `null` is the
/// empty one to every reader, and may be written so.
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
fn forget_pod(pod: &mut Value, profile: &str) {
    if profile == "openshift" {
        let keys = ["io.kubernetes.cri-o.Devices", "openshift.io/required-scc"];
        forget(&mut pod["metadata"], "annotations", &keys);
    }
    if profile == "userns" {
        forget(pod, "spec", &["hostUsers"]);
    }
    let mut of_the_pod = pod["spec"]["securityContext"]["seLinuxOptions"].clone();
    remove(&mut of_the_pod, "type");
    // What comes along is what Kubernetes knows.
    remove(&mut of_the_pod, "xUnknown");
    each_container(&mut pod["spec"], |list, _, container| {
        let Spoken {
            fields,
            grants,
            home,
        } = spoken(list, &container["name"]);
        if grants {
            if let Some(context) = container.get_mut("securityContext") {
                forget(context, "capabilities", &["add", "drop"]);
                forget(context, "seLinuxOptions", &["type"]);
                // A container's options replace the pod's, so where a profile
                // gives it some the pod's come along.
                if context.get("seLinuxOptions") == Some(&of_the_pod) {
                    remove(context, "seLinuxOptions");
                }
            }
            if let Some(resources) = container.get_mut("resources") {
                forget(resources, "limits", &["github.com/fuse"]);
                forget(resources, "requests", &["github.com/fuse"]);
            }
            forget(container, "resources", &[""]);
        }
        forget(container, "securityContext", fields);
        // Only `helper` loses a HOME of its own: that of `build` is reused.
        let vars = container.get_mut("env").and_then(Value::as_array_mut);
        let replaced = |var: &&mut Value| home && !grants && var["name"] == "HOME";
        for var in vars.into_iter().flatten().filter(replaced) {
            remove(var, "value");
            remove(var, "valueFrom");
        }
    });
}

/// Takes `keys` out of the object at `key`, and the object itself where
/// nothing else is in it: a correction may have to create it.
fn forget(parent: &mut Value, key: &str, keys: &[&str]) {
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
