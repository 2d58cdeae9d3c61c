//! Generated profiles that `podseal profiles --check` accepts.

use std::path::Path;

use admission::profile::Profile;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// How many are tried.
pub const PROFILES: usize = 60;
/// How many are made to find as many that are accepted, at most.
const TRIES: usize = 20_000;

/// Writes them into `folder`, a file each, and returns their names.
pub fn write(folder: &Path) -> Vec<String> {
    let mut runner = TestRunner::default();
    let strategy = profile();
    let mut names = Vec::new();
    for _ in 0..TRIES {
        let tree = strategy.new_tree(&mut runner).expect("a profile");
        let mut profile = tree.current();
        let name = format!("generated-{}", names.len());
        profile["name"] = name.as_str().into();
        let text = profile.to_string();
        if Profile::from_yaml(&text).is_ok() {
            let path = folder.join(format!("{name}.yaml"));
            std::fs::write(path, text).expect("the folder can be written");
            names.push(name);
        }
        if names.len() == PROFILES {
            return names;
        }
    }
    panic!("of {TRIES} profiles {} are accepted", names.len());
}

/// Any profile, accepted or not.
pub fn profile() -> impl Strategy<Value = Value> {
    let base = prop::option::of(prop::sample::select(vec![
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
        "none",
    ]));
    let roles = prop::collection::vec(rules(), 4);
    let keep_user = any::<bool>();
    (base, pod(), roles, home(), keep_user).prop_map(|(base, pod, roles, home, keep_user)| {
        let keys = ["build", "helper", "init", "services"];
        let containers: Map<String, Value> =
            keys.into_iter().map(str::to_owned).zip(roles).collect();
        let mut profile = json!({
            "name": "x", "summary": "generated", "pod": pod, "containers": containers,
            "home": home, "keepUser": keep_user,
        });
        if let Some(base) = base {
            profile["extends"] = base.into();
        }
        profile
    })
}

fn home() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(vec!["/my_custom_dir", "/work/home", "/builds", "/home/x/"]);
    let limit = prop::option::of(prop::sample::select(vec![json!("1Gi"), json!(1_000_000)]));
    let medium = prop::option::of(Just(json!("Memory")));
    (path, limit, medium).prop_map(|(path, limit, medium)| {
        object([
            ("path", Some(path.into())),
            ("sizeLimit", limit),
            ("medium", medium),
        ])
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let host_users = prop::option::weighted(0.3, any::<bool>().prop_map(Value::from));
    let annotations = vec![
        json!({"a.test/key": "value"}),
        json!({"io.kubernetes.cri-o.Devices": "/dev/fuse"}),
        json!({"devices.crio.io": "/dev/kvm,/dev/fuse:/dev/fuse:rw"}),
    ];
    let annotation = prop::option::weighted(0.3, prop::sample::select(annotations.clone()));
    let if_unset = prop::option::weighted(0.3, prop::sample::select(annotations));
    let set = (host_users, annotation, context(true), groups(), placement());
    (set, if_unset).prop_map(|(set, if_unset)| {
        let (host_users, annotations, mut context, groups, placement) = set;
        let context_fields = context.as_object_mut().expect("an object");
        context_fields.extend(groups);
        let mut fields = object([
            ("hostUsers", host_users),
            ("annotations", annotations),
            ("securityContext", Some(context)),
        ]);
        fields.as_object_mut().expect("an object").extend(placement);
        json!({"set": fields, "ifUnset": object([("annotations", if_unset)])})
    })
}

type Fields = Map<String, Value>;

fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Fields {
    match object(fields) {
        Value::Object(fields) => fields,
        _ => unreachable!("it is an object"),
    }
}

/// The groups of the pod.
fn groups() -> impl Strategy<Value = Fields> {
    let group = prop::option::weighted(0.2, prop::sample::select(vec![0, 1000, 65_536]));
    let policies = vec!["Always", "OnRootMismatch"];
    let policy = prop::option::weighted(0.2, prop::sample::select(policies));
    let more = prop::option::weighted(0.2, Just(json!([1000, 2000, 1000])));
    (group, policy, more).prop_map(|(group, policy, more)| {
        fields([
            ("fsGroup", group.map(Value::from)),
            ("fsGroupChangePolicy", policy.map(Value::from)),
            ("supplementalGroups", more),
        ])
    })
}

/// The nodes for the pod.
fn placement() -> impl Strategy<Value = Fields> {
    let selectors = vec![
        json!({"kubernetes.io/os": "linux", "a.test/pool": "builds"}),
        json!({"pool": ""}),
    ];
    let selector = prop::option::weighted(0.2, prop::sample::select(selectors));
    let tolerations = vec![
        json!([{"operator": "Exists"}]),
        json!([{"key": "a.test/builds", "value": "yes", "effect": "NoSchedule"},
            {"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]),
        json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 300}]),
    ];
    let tolerations = prop::option::weighted(0.2, prop::sample::select(tolerations));
    (selector, tolerations).prop_map(|(selector, tolerations)| {
        fields([("nodeSelector", selector), ("tolerations", tolerations)])
    })
}

fn rules() -> impl Strategy<Value = Value> {
    let fields = (context(false), env(), limits()).prop_map(|(context, env, limits)| {
        json!({"securityContext": context, "env": env, "resources": {"limits": limits}})
    });
    let if_unset = context(false).prop_map(|context| json!({"securityContext": context}));
    let home = any::<bool>();
    (fields, if_unset, capabilities(), home).prop_map(|(set, if_unset, capabilities, home)| {
        json!({"set": set, "ifUnset": if_unset, "capabilities": capabilities, "home": home})
    })
}

/// A securityContext, in which most fields are not set.
fn context(of_pod: bool) -> impl Strategy<Value = Value> {
    let flag = || prop::option::weighted(0.25, any::<bool>().prop_map(Value::from));
    let id = || {
        let ids = vec![0, 1, 1000, 65_535, 65_536, 2_147_483_647];
        prop::option::weighted(0.2, prop::sample::select(ids).prop_map(Value::from))
    };
    let confinement = || {
        let types = vec![
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Unconfined"}),
            json!({"type": "Localhost", "localhostProfile": "podman"}),
        ];
        prop::option::weighted(0.15, prop::sample::select(types))
    };
    let mount = prop::sample::select(vec![json!("Default"), json!("Unmasked")]);
    let mount = prop::option::weighted(0.1, mount);
    let selinux = prop::option::weighted(0.1, Just(json!({"type": "container_engine_t"})));
    let flags = (flag(), flag(), flag(), flag());
    (
        flags,
        id(),
        id(),
        confinement(),
        confinement(),
        mount,
        selinux,
    )
        .prop_map(
            move |(
                (privileged, escalation, read_only, non_root),
                user,
                group,
                seccomp,
                apparmor,
                mount,
                selinux,
            )| {
                let of_container = |value| if of_pod { None } else { value };
                object([
                    ("privileged", of_container(privileged)),
                    ("allowPrivilegeEscalation", of_container(escalation)),
                    ("readOnlyRootFilesystem", of_container(read_only)),
                    ("procMount", of_container(mount)),
                    ("runAsNonRoot", non_root),
                    ("runAsUser", user),
                    ("runAsGroup", group),
                    ("seccompProfile", seccomp),
                    ("appArmorProfile", apparmor),
                    ("seLinuxOptions", selinux),
                ])
            },
        )
}

fn env() -> impl Strategy<Value = Value> {
    let vars = vec![
        json!({}),
        json!({"STORAGE_OPTS": ""}),
        json!({"A b": "$(B)", "C": "x\ny"}),
        json!({"GIT_CONFIG_GLOBAL": "/tmp/gitconfig"}),
    ];
    prop::sample::select(vars)
}

fn limits() -> impl Strategy<Value = Value> {
    let limits = vec![
        json!({}),
        json!({}),
        json!({"github.com/fuse": 1}),
        json!({"github.com/fuse": "2", "a.test/device": "0"}),
    ];
    prop::sample::select(limits)
}

fn capabilities() -> impl Strategy<Value = Value> {
    let names = vec![
        "SETUID",
        "SETGID",
        "SYS_ADMIN",
        "CAP_SYS_ADMIN",
        "net_raw",
        "ALL",
        "SYS_CHROOT",
    ];
    let list = move || prop::sample::subsequence(names.clone(), 0..3);
    (list(), list(), list())
        .prop_map(|(add, drop, allow)| json!({"add": add, "drop": drop, "allow": allow}))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields_set = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(fields_set.collect())
}
