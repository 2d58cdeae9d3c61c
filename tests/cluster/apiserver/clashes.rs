//! Every rule of the API server's validation of pods that a field which podseal
//! sets could violate, together with something that a job's author or runner may
//! have written: read through from `ValidatePodCreate` in Kubernetes 1.37's
//! `pkg/apis/core/validation`. Each pod is valid without podseal. With it, it is
//! stored, or podseal denies it with the reason; the API server never rejects it.

use serde_json::{Value, json};

use crate::apiserver::shapes::decide_again;
use crate::apiserver::{CLUSTER, job_without_services};

fn append(list: &mut Value, item: Value) {
    match list {
        Value::Array(list) => list.push(item),
        list => *list = json!([item]),
    }
}

fn home(pod: &mut Value, var: Value) {
    append(&mut pod["spec"]["containers"][0]["env"], var);
}

fn block_device_at(pod: &mut Value, path: &str) {
    let claim = json!({"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}});
    append(&mut pod["spec"]["volumes"], claim);
    let device = json!({"name": "disk", "devicePath": path});
    append(&mut pod["spec"]["containers"][0]["volumeDevices"], device);
}

/// What a job's author or runner wrote, the profiles it may clash with, and how
/// the denial begins; an empty one where the pod is stored.
type Clash = (
    &'static str,
    &'static [&'static str],
    fn(&mut Value),
    &'static str,
);

const ALL: &[&str] = &[
    "userns",
    "rootless",
    "root",
    "root-fuse",
    "openshift",
    "privileged",
];
const WITH_HOME: &[&str] = &["rootless", "openshift", "privileged"];

const CLASHES: &[Clash] = &[
    (
        "AppArmor's older annotation without a value",
        ALL,
        |pod| {
            let key = "container.apparmor.security.beta.kubernetes.io/build";
            pod["metadata"]["annotations"][key] = json!("");
        },
        "",
    ),
    (
        "a HOME that is a raw block device",
        WITH_HOME,
        |pod| {
            block_device_at(pod, "/data/disk");
            home(pod, json!({"name": "HOME", "value": "/data/disk"}));
        },
        "container \"build\", env HOME: ",
    ),
    (
        "a HOME around a raw block device",
        WITH_HOME,
        |pod| {
            block_device_at(pod, "/data/disk");
            home(pod, json!({"name": "HOME", "value": "/data"}));
        },
        "container \"build\", env HOME: ",
    ),
    (
        "a raw block device elsewhere",
        WITH_HOME,
        |pod| block_device_at(pod, "/data/disk"),
        "",
    ),
    (
        "a HOME from a file",
        WITH_HOME,
        |pod| {
            append(
                &mut pod["spec"]["volumes"],
                json!({"name": "vars", "emptyDir": {}}),
            );
            let key = json!({"volumeName": "vars", "path": "vars.env", "key": "HOME"});
            home(
                pod,
                json!({"name": "HOME", "valueFrom": {"fileKeyRef": key}}),
            );
        },
        "container \"build\", env HOME: ",
    ),
    (
        "an image where HOME is mounted",
        WITH_HOME,
        |pod| {
            let image = json!({"name": "image", "image": {"reference": "quay.io/a/b"}});
            append(&mut pod["spec"]["volumes"], image);
            let mount = json!({"name": "image", "mountPath": "/my_custom_dir"});
            append(&mut pod["spec"]["containers"][0]["volumeMounts"], mount);
        },
        "container \"build\", env HOME: ",
    ),
    (
        "a claim by the name of podseal's volume",
        ALL,
        |pod| {
            let claim =
                json!({"name": "podseal-home", "persistentVolumeClaim": {"claimName": "x"}});
            append(&mut pod["spec"]["volumes"], claim);
        },
        "",
    ),
    (
        "resources of the pod as a whole",
        ALL,
        |pod| {
            let amounts = json!({"cpu": "1", "memory": "1Gi"});
            pod["spec"]["resources"] = json!({"limits": amounts, "requests": amounts});
        },
        "",
    ),
    (
        "more of the device, spelled otherwise",
        &["root-fuse"],
        |pod| {
            let amounts = json!({"github.com/fuse": "2000m"});
            let resources = json!({"limits": amounts, "requests": amounts});
            pod["spec"]["containers"][0]["resources"] = resources;
        },
        "",
    ),
    (
        "a resource claim in addition to the limit",
        &["root-fuse"],
        |pod| {
            let claim = json!({"name": "gpu", "resourceClaimName": "gpu"});
            append(&mut pod["spec"]["resourceClaims"], claim);
            pod["spec"]["containers"][0]["resources"] = json!({"claims": [{"name": "gpu"}]});
        },
        "",
    ),
    (
        "a policy of resizing",
        &["root-fuse"],
        |pod| {
            let policy = json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]);
            pod["spec"]["containers"][0]["resizePolicy"] = policy;
        },
        "",
    ),
    (
        "options for Windows in a pod that does not say its system",
        ALL,
        |pod| {
            let options = json!({"windowsOptions": {"runAsUserName": "ContainerUser"}});
            pod["spec"]["securityContext"] = options;
        },
        "",
    ),
    (
        "a shared process namespace",
        ALL,
        |pod| pod["spec"]["shareProcessNamespace"] = json!(true),
        "",
    ),
    (
        "sysctls, groups and how they are set",
        ALL,
        |pod| {
            pod["spec"]["securityContext"] = json!({
                "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
                "supplementalGroups": [65535],
                "supplementalGroupsPolicy": "Strict",
                "fsGroup": 2000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seLinuxChangePolicy": "Recursive",
            });
        },
        "",
    ),
    (
        "an unmasked /proc in a user namespace that the profile does not set",
        &["rootless", "root-fuse", "privileged"],
        |pod| {
            pod["spec"]["hostUsers"] = json!(false);
            let helper = &mut pod["spec"]["containers"][1]["securityContext"];
            *helper = json!({"procMount": "Unmasked"});
        },
        "",
    ),
    (
        "an init container that stays",
        ALL,
        |pod| {
            let init = json!({"name": "init-proxy", "image": "x", "restartPolicy": "Always"});
            append(&mut pod["spec"]["initContainers"], init);
        },
        "",
    ),
];

/// The API server's response to `pod`, in a namespace without podseal.
fn assert_valid(plain: &str, what: &str, pod: &Value) {
    let (code, answer) = CLUSTER.plane.try_pod(plain, pod);
    assert_eq!(code, 201, "{what}, without podseal: {answer:#}");
}

#[test]
fn whatever_is_in_the_pod_the_api_server_accepts_the_patch_or_podseal_denies_it() {
    let plain = CLUSTER.namespace(None);
    let namespaces: Vec<_> = ALL
        .iter()
        .map(|profile| (*profile, CLUSTER.unjudged(profile)))
        .collect();
    for (what, profiles, write, reason) in CLASHES {
        let mut pod = job_without_services();
        write(&mut pod);
        assert_valid(&plain, what, &pod);
        let concerned = namespaces
            .iter()
            .filter(|(name, _)| profiles.contains(name));
        for (profile, namespace) in concerned {
            let (code, answer) = CLUSTER.plane.try_pod(namespace, &pod);
            let message = answer["message"].as_str().unwrap_or_default();
            if reason.is_empty() {
                assert_eq!(code, 201, "{what}, {profile}: {message}");
                assert_eq!(decide_again(&answer, profile), "", "{what}, {profile}");
            } else {
                let ours =
                    format!("admission webhook \"mutate.podseal.io\" denied the request: {reason}");
                assert_eq!(code, 403, "{what}, {profile}: {message}");
                assert!(message.starts_with(&ours), "{what}, {profile}: {message}");
            }
        }
    }
}

#[test]
fn older_seccomp_annotations_do_not_prevent_the_level_restricted() {
    let plain = CLUSTER.namespace(None);
    let keys = [
        "container.seccomp.security.alpha.kubernetes.io/build",
        "container.seccomp.security.alpha.kubernetes.io/helper",
        "container.seccomp.security.alpha.kubernetes.io/init-permissions",
        "container.seccomp.security.alpha.kubernetes.io/no-such-container",
        "seccomp.security.alpha.kubernetes.io/pod",
    ];
    for profile in ["userns", "rootless", "root-fuse"] {
        let labels = [("profile", profile), ("level", "restricted")];
        let namespace = CLUSTER.namespace_with(&labels, &[]);
        for old in [
            "unconfined",
            "runtime/default",
            "docker/default",
            "localhost/x.json",
        ] {
            let mut pod = job_without_services();
            for key in keys {
                pod["metadata"]["annotations"][key] = json!(old);
            }
            assert_valid(&plain, old, &pod);
            let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
            let message = answer["message"].as_str().unwrap_or_default();
            // `root-fuse` cannot meet the level, so podseal denies it,
            // and not the API server.
            let ours = "admission webhook \"validate.podseal.io\" denied the request: ";
            let is_answered = match profile {
                "root-fuse" => code == 403 && message.starts_with(ours),
                _ => code == 201,
            };
            assert!(is_answered, "{old}, {profile}: {message}");
        }
    }
}
