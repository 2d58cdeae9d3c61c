//! Whether a namespace's settings allowed a pod more than its profile does.

use admission::correct::home::{GIT_CONFIG, GIT_CONFIG_FILE, GIT_VOLUME, VOLUME};
use admission::correct::marker::CORRECTED_AS;
use admission::gitlab::role::Role;
use admission::profile::Profile;
use serde_json::{Map, Value};

/// The limit of `profile` that a namespace may call otherwise.
pub fn fuse_device(profile: &Profile) -> Option<&str> {
    let limits = Role::ALL.into_iter().flat_map(|role| {
        let rules = profile.containers.role(role);
        [&rules.set, &rules.if_unset].map(|fields| fields.resources.limits.keys())
    });
    let mut names: Vec<_> = limits.flatten().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    match names[..] {
        [only] => Some(only),
        _ => names.into_iter().find(|name| name.ends_with("/fuse")),
    }
}

/// The pod as it is apart from podseal's mark, which only some profiles leave.
pub fn without_mark(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(CORRECTED_AS);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    pod
}

/// What a pod is without what settings may change: which somebody a container
/// runs as, where HOME and git's configuration file are, and what the fuse device, the
/// first of `devices` that it has, is called.
pub fn beside_settings(pod: &Value, devices: &[&str]) -> Value {
    let mut pod = without_mark(pod.clone());
    if let Some(volumes) = pod["spec"]["volumes"].as_array_mut() {
        volumes.retain(|volume| !is_ours(&volume["name"]));
    }
    drop_empty(&mut pod["spec"], "volumes");
    let of_pod = pod["spec"]["securityContext"]["runAsUser"].as_i64();
    somebody(&mut pod["spec"], None);
    for list in ["containers", "initContainers"] {
        let containers = pod["spec"][list].as_array_mut();
        for container in containers.into_iter().flatten() {
            somebody(container, of_pod);
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.retain(|mount| !is_ours(&mount["name"]));
            }
            drop_empty(container, "volumeMounts");
            if let Some(env) = container["env"].as_array_mut() {
                // It depends on where HOME is whether git's file can be in it.
                env.retain(|var| var["name"] != GIT_CONFIG || var["value"] != GIT_CONFIG_FILE);
                let home = env.iter_mut().filter(|var| var["name"] == "HOME");
                home.for_each(|var| var["value"] = "a path".into());
            }
            // A request of a device is its limit, or the API server refuses it.
            if let Some(requests) = container["resources"]["requests"].as_object_mut() {
                devices.iter().for_each(|name| drop(requests.remove(*name)));
            }
            if let Some(limits) = container["resources"]["limits"].as_object_mut() {
                one_device(limits, devices);
            }
        }
    }
    pod
}

/// A volume that podseal adds for HOME.
fn is_ours(name: &Value) -> bool {
    let of_home = [VOLUME, GIT_VOLUME];
    name.as_str()
        .is_some_and(|name| of_home.iter().any(|ours| name.starts_with(ours)))
}

/// Root stays root, and other users stay other than root: what a container sets
/// itself, or else its pod. Where two users become one, a container needs no word
/// of its own.
fn somebody(place: &mut Value, inherited: Option<i64>) {
    let user = place["securityContext"]["runAsUser"].as_i64().or(inherited);
    if let Some(user) = user {
        place["securityContext"]["runAsUser"] = match user {
            0 => 0.into(),
            _ => "somebody".into(),
        };
    }
}

/// Of the device that the pod asks for by itself, under the name that no longer is
/// the profile's, nothing is said: the setting leaves it as it was.
fn one_device(limits: &mut Map<String, Value>, devices: &[&str]) {
    let asked: Vec<_> = devices
        .iter()
        .filter_map(|name| limits.remove(*name))
        .collect();
    if let Some(amount) = asked.into_iter().next() {
        limits.insert("the device".to_owned(), amount);
    }
}

fn drop_empty(of: &mut Value, list: &str) {
    if of[list].as_array().is_some_and(Vec::is_empty) || of[list].is_null() {
        of.as_object_mut().map(|fields| fields.remove(list));
    }
}
