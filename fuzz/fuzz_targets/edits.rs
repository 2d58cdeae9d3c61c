//! A real job pod, edited: bytes select the place, and the new value.

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};

/// Real pods of different shapes.
const PODS: [&str; 7] = [
    include_str!("../../tests/fixtures/pods/default-with-service.json"),
    include_str!("../../tests/fixtures/pods/privileged-nonroot.json"),
    include_str!("../../tests/fixtures/pods/root-fuse.json"),
    include_str!("../../tests/fixtures/pods/native-steps.json"),
    include_str!("../../tests/fixtures/pods/suspendable.json"),
    include_str!("../../tests/fixtures/pods/umask-collector.json"),
    include_str!("../../tests/fixtures/pods/windows.json"),
];

/// How many variables a container keeps: one is like another, and each costs.
const VARIABLES: usize = 3;
/// How many edits are made.
const EDITS: usize = 24;

/// Where an edit begins.
const PLACES: [&str; 14] = [
    "/spec/containers/0",
    "/spec/containers/0/securityContext",
    "/spec/containers/0/env",
    "/spec/containers/0/volumeMounts",
    "/spec/containers/1",
    "/spec/containers/1/volumeMounts",
    "/spec/containers/1/securityContext",
    "/spec/initContainers/0",
    "/spec",
    "/spec/securityContext",
    "/spec/volumes",
    "/metadata",
    "/metadata/annotations",
    "",
];

const KEYS: [&str; 44] = [
    "name",
    "value",
    "valueFrom",
    "env",
    "image",
    "resources",
    "limits",
    "requests",
    "github.com/fuse",
    "securityContext",
    "privileged",
    "allowPrivilegeEscalation",
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "readOnlyRootFilesystem",
    "procMount",
    "capabilities",
    "add",
    "drop",
    "seLinuxOptions",
    "seccompProfile",
    "appArmorProfile",
    "type",
    "user",
    "localhostProfile",
    "volumeMounts",
    "volumeDevices",
    "mountPath",
    "devicePath",
    "volumes",
    "emptyDir",
    "hostPath",
    "path",
    "hostUsers",
    "hostPID",
    "fsGroup",
    "supplementalGroups",
    "annotations",
    "initContainers",
    "containers",
    "ephemeralContainers",
    "xUnknown",
    "container.apparmor.security.beta.kubernetes.io/build",
];

const WORDS: [&str; 36] = [
    "",
    "build",
    "helper",
    "init-permissions",
    "init-build-uid-gid-collector",
    "svc-0",
    "HOME",
    "/",
    "/my_custom_dir",
    "/my_custom_dir/sub",
    "/home/podman",
    "/home",
    "/builds",
    "/a/../b",
    "/a//b/",
    "podseal-home",
    "podseal-home-2",
    "repo",
    "ALL",
    "SETUID",
    "CAP_SETGID",
    "setuid",
    "SYS_ADMIN",
    "CAP_SYS_ADMIN",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "RuntimeDefault",
    "Unconfined",
    "Localhost",
    "Unmasked",
    "container_engine_t",
    "runtime/default",
    "windows",
    "1",
    "é~1/\"\n",
    "connection refused",
];

static REAL: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let read = |text| {
        let mut pod: Value = serde_json::from_str(text).expect("a fixture is JSON");
        for list in ["initContainers", "containers"] {
            let containers = pod["spec"][list].as_array_mut();
            for container in containers.into_iter().flatten() {
                if let Some(env) = container["env"].as_array_mut() {
                    env.truncate(VARIABLES);
                }
            }
        }
        pod
    };
    PODS.map(read).into()
});

/// The pod that `bytes` describe.
pub(super) fn edited(bytes: &[u8]) -> Result<Value> {
    let mut bytes = Unstructured::new(bytes);
    let mut pod = bytes.choose(&REAL)?.clone();
    for _ in 0..EDITS {
        if bytes.is_empty() {
            break;
        }
        edit(&mut pod, &mut bytes)?;
    }
    Ok(pod)
}

fn edit(pod: &mut Value, bytes: &mut Unstructured<'_>) -> Result<()> {
    let place = *bytes.choose(&PLACES)?;
    let mut at = pod;
    for key in place.split('/').skip(1) {
        let next = match at {
            Value::Array(items) => key.parse().ok().and_then(|n: usize| items.get_mut(n)),
            // What is missing is opened, unless it is a list's.
            Value::Object(fields) => Some(fields.entry(key).or_insert_with(|| json!({}))),
            _ => None,
        };
        let Some(next) = next else { return Ok(()) };
        at = next;
    }
    // Down from there, as long as the bytes select it.
    while bytes.ratio(1, 2)? {
        let next = match at {
            Value::Array(items) if !items.is_empty() => {
                let index = bytes.choose_index(items.len())?;
                &mut items[index]
            }
            Value::Object(fields) if !fields.is_empty() => {
                let index = bytes.choose_index(fields.len())?;
                fields.values_mut().nth(index).expect("it has as many")
            }
            _ => return Ok(()),
        };
        at = next;
    }
    change(at, bytes)
}

fn change(at: &mut Value, bytes: &mut Unstructured<'_>) -> Result<()> {
    match (at, bytes.int_in_range(0..=5u8)?) {
        (at, 0) => *at = value(bytes, 2)?,
        (Value::Object(fields), 1) if !fields.is_empty() => {
            let index = bytes.choose_index(fields.len())?;
            let key = fields.keys().nth(index).expect("it has as many").clone();
            fields.remove(&key);
        }
        (Value::Array(items), 1) if !items.is_empty() => {
            items.remove(bytes.choose_index(items.len())?);
        }
        // A second one of the same name.
        (Value::Array(items), 2) if !items.is_empty() => {
            let item = items[bytes.choose_index(items.len())?].clone();
            items.push(item);
        }
        (Value::Object(fields), _) => {
            fields.insert(key(bytes)?, value(bytes, 2)?);
        }
        (Value::Array(items), _) => items.push(value(bytes, 2)?),
        (at, _) => *at = value(bytes, 0)?,
    }
    Ok(())
}

fn key(bytes: &mut Unstructured<'_>) -> Result<String> {
    Ok((*bytes.choose(&KEYS)?).to_owned())
}

fn value(bytes: &mut Unstructured<'_>, depth: u8) -> Result<Value> {
    Ok(match bytes.int_in_range(0..=9u8)? {
        0 => Value::Null,
        1 => true.into(),
        2 => false.into(),
        3 => (*bytes.choose(&[0, 1, 1000, 65_535, 65_536, -1])?).into(),
        4 => bytes.arbitrary::<i64>()?.into(),
        5 if depth > 0 => {
            let length = bytes.int_in_range(0..=3)?;
            let items = (0..length).map(|_| value(bytes, depth - 1));
            items.collect::<Result<Vec<_>>>()?.into()
        }
        6 if depth > 0 => {
            let length = bytes.int_in_range(0..=3)?;
            let fields = (0..length).map(|_| Ok((key(bytes)?, value(bytes, depth - 1)?)));
            fields.collect::<Result<Map<_, _>>>()?.into()
        }
        7 => item(bytes)?,
        8 => bytes.arbitrary::<&str>()?.into(),
        _ => (*bytes.choose(&WORDS)?).into(),
    })
}

/// The entries of a pod's lists: a container, a variable, a mount, a volume.
fn item(bytes: &mut Unstructured<'_>) -> Result<Value> {
    let (name, word) = (*bytes.choose(&WORDS)?, *bytes.choose(&WORDS)?);
    Ok(match bytes.int_in_range(0..=3u8)? {
        0 => json!({"name": name}),
        1 => json!({"name": name, "value": word}),
        2 => json!({"name": name, "mountPath": word}),
        _ => json!({"name": name, "emptyDir": {"medium": word}}),
    })
}
