//! Containers of generated job pods, and the means to generate any object of
//! which each field may be absent.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::pods::phrases;

pub(crate) type Field = (&'static str, BoxedStrategy<Option<Value>>);

pub(crate) fn object(fields: Vec<Field>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let with_keys = move |values: Vec<Option<Value>>| {
        let there = keys
            .iter()
            .zip(values)
            .filter_map(|(key, value)| Some((key, value?)));
        there
            .map(|(key, value)| ((*key).to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    };
    values.prop_map(with_keys).boxed()
}

pub(crate) fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    option::of(value).boxed()
}

pub(crate) fn rarely(
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<Value>> {
    option::weighted(0.15, value).boxed()
}

pub(crate) fn always(
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<Value>> {
    value.prop_map(Some).boxed()
}

pub(crate) fn just(value: Value) -> BoxedStrategy<Option<Value>> {
    Just(Some(value)).boxed()
}

pub(crate) fn one_of(choices: Value) -> impl Strategy<Value = Value> {
    select(choices.as_array().expect("choices are a list").clone())
}

pub(crate) fn some_of(choices: Value) -> impl Strategy<Value = Value> {
    let choices = choices.as_array().expect("choices are a list").clone();
    let count = choices.len();
    subsequence(choices, 0..=count)
        .prop_shuffle()
        .prop_map(Value::from)
}

pub(crate) fn boolean() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::from)
}

pub(crate) fn container(name: &'static str) -> BoxedStrategy<Value> {
    object(vec![
        ("name", just(json!(name))),
        ("image", just(json!("quay.io/podman/stable"))),
        ("command", maybe(Just(json!(["sh", "-c", "# script"])))),
        ("env", maybe(env())),
        ("volumeMounts", maybe(mounts())),
        ("securityContext", maybe(security_context())),
        ("resources", maybe(resources())),
        ("imagePullPolicy", maybe(Just(json!("IfNotPresent")))),
        ("stdin", maybe(boolean())),
    ])
}

fn env() -> impl Strategy<Value = Value> {
    let ci = Just(json!({"name": "CI", "value": "true"}));
    let from =
        Just(json!({"name": "HOME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}));
    let bare = Just(json!({"name": "HOME"}));
    let home = |paths: Value| one_of(paths).prop_map(|path| json!({"name": "HOME", "value": path}));
    let var = prop_oneof![
        6 => ci,
        1 => from,
        1 => bare,
        6 => home(json!(USUAL_HOMES)),
        2 => home(json!(DANGEROUS_HOMES)),
        1 => home(phrases()),
    ];
    vec(var, 0..4).prop_map(Value::from)
}

const USUAL_HOMES: [&str; 10] = [
    "/my_custom_dir",
    "/my_custom_dir/",
    "/builds",
    "/builds/platform/images",
    "/home/me",
    "/home/podman",
    "/home/podman/.local",
    "/root",
    "/tmp/é",
    "/opt/a b/",
];

const DANGEROUS_HOMES: [&str; 18] = [
    "",
    "/",
    "//",
    "relative",
    ".",
    "/a/../b",
    "/a//b",
    "/proc/1",
    "/sys",
    "/dev/shm",
    "/etc/x",
    "/usr/local",
    "/var/run/x",
    "/home",
    "/a:b",
    "/$$HOME",
    "$(CI_PROJECT_DIR)",
    "/a\nb\u{202e}",
];

fn mounts() -> impl Strategy<Value = Value> {
    let repo = option::of(select(vec![
        "/builds",
        "/my_custom_dir",
        "/my_custom_dir/",
        "/home/me/src",
    ]));
    let cache = option::weighted(
        0.3,
        select(vec!["/cache", "/my_custom_dir/.cache", "/home"]),
    );
    let scripts = any::<bool>();
    (repo, cache, scripts).prop_map(|(repo, cache, scripts)| {
        let repo = repo.map(|path| json!({"name": "repo", "mountPath": path}));
        let cache = cache.map(|path| json!({"name": "cache", "mountPath": path, "readOnly": true}));
        let scripts = scripts.then(|| json!({"name": "scripts", "mountPath": "/scripts-1-2"}));
        scripts.into_iter().chain(cache).chain(repo).collect()
    })
}

pub(crate) fn ids() -> impl Strategy<Value = Value> {
    one_of(json!([0, 999, 1000, 1001, 65_535, 65_536, 1_000_660_000]))
}

pub(crate) fn confinement() -> impl Strategy<Value = Value> {
    one_of(json!([
        {"type": "RuntimeDefault"},
        {"type": "Unconfined"},
        {"type": "Localhost", "localhostProfile": "podman"},
    ]))
}

pub(crate) fn se_linux() -> BoxedStrategy<Value> {
    object(vec![
        (
            "type",
            maybe(one_of(json!(["container_t", "container_engine_t"]))),
        ),
        ("level", maybe(Just(json!("s0:c26,c5")))),
    ])
}

fn security_context() -> BoxedStrategy<Value> {
    let names = json!([
        "SETUID",
        "CAP_SETUID",
        "setgid",
        "SETGID",
        "CAP_SETFCAP",
        "SYS_CHROOT",
        "NET_RAW",
        "SYS_ADMIN",
        "CAP_SYS_ADMIN",
        "ALL",
        "MKNOD",
    ]);
    let capabilities = object(vec![
        ("add", maybe(some_of(names.clone()))),
        ("drop", maybe(some_of(names))),
    ]);
    object(vec![
        ("privileged", maybe(boolean())),
        ("allowPrivilegeEscalation", maybe(boolean())),
        ("runAsUser", maybe(ids())),
        ("runAsGroup", rarely(ids())),
        ("runAsNonRoot", rarely(boolean())),
        ("readOnlyRootFilesystem", rarely(boolean())),
        ("procMount", rarely(one_of(json!(["Default", "Unmasked"])))),
        ("capabilities", maybe(capabilities)),
        ("seLinuxOptions", rarely(se_linux())),
        ("seccompProfile", rarely(confinement())),
        ("appArmorProfile", rarely(confinement())),
    ])
}

fn resources() -> impl Strategy<Value = Value> {
    let fuse = option::of((select(vec!["1", "2"]), any::<bool>()));
    let memory = option::of(Just("512Mi"));
    (fuse, memory, any::<bool>()).prop_map(|(fuse, memory, empty)| {
        let mut resources = if empty {
            json!({"limits": {}, "requests": {}})
        } else {
            json!({})
        };
        if let Some(memory) = memory {
            resources["limits"]["memory"] = json!(memory);
        }
        if let Some((count, requested)) = fuse {
            resources["limits"]["github.com/fuse"] = json!(count);
            if requested {
                resources["requests"]["github.com/fuse"] = json!(count);
            }
        }
        resources
    })
}
