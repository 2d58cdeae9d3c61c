//! Every shape a job pod has, in a namespace of every profile.

use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::pod::Pod;
use admission::request::Request;
use cases::view::View;
use serde_json::{Value, json};

use crate::apiserver::{CLUSTER, fixture};

/// Suspendable jobs fit few profiles: `tests/cluster/fleet` has them all.
const JOBS: [&str; 8] = [
    "default-with-service",
    "privileged-nonroot",
    "privileged-with-service",
    "root-fuse",
    "legacy-exec",
    "umask-collector",
    "honor-entrypoint",
    "native-steps",
];

const PROFILES: [&str; 7] = [
    "userns",
    "rootless",
    "root",
    "root-fuse",
    "openshift",
    "privileged",
    "none",
];

fn create(namespace: &str, shape: &str) -> View {
    let pod = fixture(shape);
    let (code, answer) = CLUSTER.plane.create_pod(namespace, &pod);
    assert_eq!(code, 201, "{shape} in {namespace}: {answer:#}");
    let name = pod["metadata"]["name"].as_str().expect("a name");
    View(CLUSTER.plane.stored_pod(namespace, name))
}

/// What podseal would do to the pod as it is stored.
pub(crate) fn decide_again(pod: &Value, profile: &str) -> String {
    let text = pod.to_string();
    let pod: Pod<'_> = serde_json::from_str(&text).expect("a stored pod");
    let label = (PROFILE.to_owned(), profile.to_owned());
    let namespace = Namespace::new("ci", [label], []);
    let decision = mutate(
        Request::create(pod, "ci"),
        &namespace,
        &Settings::built_in(),
    );
    match decision.outcome {
        Outcome::Allow(Allowed::AlreadyRight | Allowed::Windows) => String::new(),
        other => format!("{other:?}"),
    }
}

fn assert_as_the_profile_says(pod: &View, profile: &str) {
    let helper = pod.has("helper").then_some("helper");
    for container in ["build"].into_iter().chain(helper) {
        let privileged = pod.security(container, "privileged") == &json!(true);
        assert_eq!(
            privileged,
            profile == "privileged" && container == "build",
            "{container}"
        );
    }
    let is_root = ["root", "root-fuse"].contains(&profile);
    let uid = if is_root { 0 } else { 1000 };
    assert_eq!(pod.uid("build"), Some(uid));
    if !is_root {
        let home = pod.env("build", "HOME").expect("a HOME");
        let covered = |container: &str| {
            let mounts = pod.container(container)["volumeMounts"].as_array();
            let mut paths = mounts
                .into_iter()
                .flatten()
                .filter_map(|m| m["mountPath"].as_str());
            paths.any(|path| home == path || home.starts_with(&format!("{path}/")))
        };
        assert!(covered("build"), "{home} is on a volume");
        if let Some(helper) = helper {
            assert_eq!(pod.env(helper, "HOME").as_deref(), Some(home.as_str()));
            assert!(covered(helper), "{home} is on a volume");
        }
    }
    assert_eq!(decide_again(&pod.0, profile), "", "nothing is left to do");
}

#[test]
fn every_shape_is_stored_as_every_profile_requires() {
    for profile in PROFILES {
        let namespace = CLUSTER.unjudged(profile);
        for shape in JOBS {
            let pod = create(&namespace, shape);
            if profile == "none" {
                assert_eq!(decide_again(&pod.0, profile), "");
                continue;
            }
            println!("{shape} in {profile}");
            assert_as_the_profile_says(&pod, profile);
        }
    }
}

#[test]
fn the_uid_collector_runs_as_the_same_user_as_build_in_every_profile() {
    for profile in PROFILES.into_iter().filter(|profile| *profile != "none") {
        let namespace = CLUSTER.unjudged(profile);
        let pod = create(&namespace, "umask-collector");
        for field in ["runAsUser", "runAsGroup"] {
            let build = pod.effective("build", field);
            let collector = pod.effective("init-build-uid-gid-collector", field);
            assert_eq!(build, collector, "{field} in {profile}");
        }
    }
}

#[test]
fn native_steps_get_a_home_without_helper_and_without_env() {
    let namespace = CLUSTER.unjudged("rootless");
    let pod = create(&namespace, "native-steps");
    assert!(!pod.has("helper"));
    assert_eq!(pod.env("build", "HOME").as_deref(), Some("/my_custom_dir"));
    assert!(pod.mounted_at("build", "/my_custom_dir").is_some());
}

#[test]
fn a_windows_job_is_not_changed_and_the_record_has_the_reason() {
    let namespace = CLUSTER.unjudged("rootless");
    let pod = create(&namespace, "windows");
    assert_eq!(pod.uid("build"), None);
    assert_eq!(pod.env("helper", "HOME"), None);
    let name = pod.0["metadata"]["name"].as_str().expect("a name");
    let decision = CLUSTER.podseal.decision_on("mutate", name);
    assert_eq!(
        decision["message"],
        json!("the job runs on Windows, which no profile supports")
    );
}

#[test]
fn a_hostile_mix_of_pod_and_profile_is_denied_by_podseal_and_never_by_the_api_server() {
    let cases: [(&str, &str, Value, &str); 6] = [
        (
            "userns",
            "/spec/hostNetwork",
            json!(true),
            "pod, hostNetwork",
        ),
        ("userns", "/spec/hostPID", json!(true), "pod, hostPID"),
        ("userns", "/spec/hostIPC", json!(true), "pod, hostIPC"),
        (
            "userns",
            "/spec/containers/2/securityContext/runAsUser",
            json!(1_000_660_000),
            "container \"svc-0\", securityContext.runAsUser",
        ),
        (
            "root-fuse",
            "/spec/containers/0/securityContext/capabilities/add",
            json!(["CAP_SYS_ADMIN"]),
            "container \"build\", securityContext.capabilities.add",
        ),
        (
            "openshift",
            "/metadata/annotations/filler",
            json!(filler_annotation()),
            "pod, metadata.annotations",
        ),
    ];
    let unlabelled = CLUSTER.namespace(None);
    for (profile, at, value, reason) in cases {
        let mut pod = fixture("default-with-service");
        let (parent, key) = at.rsplit_once('/').expect("a pointer");
        let parent = pod.pointer_mut(parent).expect("a parent").as_object_mut();
        parent.expect("an object").insert(key.to_owned(), value);
        let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
        assert_eq!(code, 201, "valid without podseal: {answer:#}");
        let namespace = CLUSTER.unjudged(profile);
        let (code, status) = CLUSTER.plane.try_pod(&namespace, &pod);
        assert_eq!(code, 403, "{profile} {at}: {}", status["message"]);
        let message = status["message"].as_str().expect("a message");
        let ours = format!("admission webhook \"mutate.podseal.io\" denied the request: {reason}:");
        assert!(message.starts_with(&ours), "{message}");
    }
}

/// Fills the annotations of the fixture up to the last byte Kubernetes allows.
fn filler_annotation() -> String {
    let pod = fixture("default-with-service");
    let annotations = pod["metadata"]["annotations"]
        .as_object()
        .expect("annotations");
    let lengths = annotations
        .iter()
        .map(|(k, v)| k.len() + v.as_str().map_or(0, str::len));
    let used: usize = lengths.sum();
    "x".repeat(256 * 1024 - used - "filler".len())
}

#[test]
fn a_mount_that_only_a_privileged_container_may_have_is_denied_with_the_reason() {
    let mut pod = fixture("privileged-with-service");
    let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
    volumes.push(json!({"name": "host", "hostPath": {"path": "/mnt"}}));
    let mount = json!({"name": "host", "mountPath": "/mnt", "mountPropagation": "Bidirectional"});
    let mounts = &mut pod["spec"]["containers"][1]["volumeMounts"];
    mounts.as_array_mut().expect("mounts").push(mount);
    let unlabelled = CLUSTER.namespace(None);
    let (code, answer) = CLUSTER.plane.try_pod(&unlabelled, &pod);
    assert_eq!(code, 201, "valid without podseal: {answer:#}");
    let namespace = CLUSTER.unjudged("privileged");
    let (code, status) = CLUSTER.plane.try_pod(&namespace, &pod);
    let message = status["message"].as_str().expect("a message");
    assert_eq!(code, 403, "{message}");
    assert!(
        message.contains("container \"helper\", volumeMounts[host].mountPropagation: "),
        "{message}"
    );
}

#[test]
fn the_pods_selinux_level_is_kept_where_a_profile_sets_a_type() {
    let mut pod = fixture("default-with-service");
    pod["spec"]["securityContext"] = json!({"seLinuxOptions": {"level": "s0:c27,c4"}});
    let namespace = CLUSTER.unjudged("openshift");
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let options = &answer["spec"]["containers"][0]["securityContext"]["seLinuxOptions"];
    assert_eq!(
        options,
        &json!({"type": "container_engine_t", "level": "s0:c27,c4"})
    );
    assert_eq!(decide_again(&answer, "openshift"), "");
}

#[test]
fn kubectl_reads_the_same_pod_from_reviews_yaml_and_json() {
    let mut pod = fixture("default-with-service");
    let env = pod["spec"]["containers"][0]["env"]
        .as_array_mut()
        .expect("env");
    for (number, value) in [
        "yes",
        "0x1",
        "1e3",
        "~",
        "null",
        " a\n b ",
        "- x",
        "a: b #c",
        "\u{1b}\u{85}é",
        "'\"",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        env.push(json!({"name": format!("ODD_{number}"), "value": value}));
    }
    let review = |format| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args(["review", "--profile", "userns", "-o", format, "-"]);
        support::text(&support::run(command, &pod.to_string()).stdout)
    };
    let namespace = CLUSTER.unjudged("userns");
    let args = [
        "create",
        "-n",
        &namespace,
        "--dry-run=server",
        "-o",
        "json",
        "-f",
        "-",
    ];
    let stored = |manifest: &str| -> Value {
        let output = CLUSTER
            .plane
            .kubectl(support::controlplane::ADMIN, &args, manifest);
        let error = support::text(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"))
    };
    let line: Value = serde_json::from_str(&review("json")).expect("a line");
    let from_json = stored(&line["object"].to_string());
    assert_eq!(stored(&review("yaml"))["spec"], from_json["spec"]);
    assert_eq!(decide_again(&from_json, "userns"), "");
}

#[test]
fn podseal_reads_octal_modes_in_yaml_as_kubectl_does() {
    let yaml = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  \
                containers: [{name: build, image: a}]\n  \
                volumes: [{name: s, secret: {secretName: a, defaultMode: 0400}}]\n";
    let args = ["create", "--dry-run=client", "-o", "json", "-f", "-"];
    let output = CLUSTER
        .plane
        .kubectl(support::controlplane::ADMIN, &args, yaml);
    let kubectl: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", support::text(&output.stderr)));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "--profile", "none", "-o", "json", "-"]);
    let output = support::run(command, yaml);
    let line: Value = serde_json::from_slice(&output.stdout).expect("a line");
    let mode = |pod: &Value| pod.pointer("/spec/volumes/0/secret/defaultMode").cloned();
    assert_eq!(mode(&kubectl), Some(json!(256)));
    assert_eq!(mode(&line["object"]), mode(&kubectl));
}

#[test]
fn a_block_device_together_with_a_user_namespace_is_denied_with_the_reason() {
    let mut pod = fixture("default-with-service");
    let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
    volumes.push(json!({"name": "raw", "persistentVolumeClaim": {"claimName": "raw"}}));
    pod["spec"]["containers"][2]["volumeDevices"] =
        json!([{"name": "raw", "devicePath": "/dev/raw"}]);
    let namespace = CLUSTER.unjudged("userns");
    let (code, status) = CLUSTER.plane.try_pod(&namespace, &pod);
    assert_eq!(code, 403, "{status:#}");
    let message = status["message"].as_str().expect("a message");
    assert!(
        message.contains("container \"svc-0\", volumeDevices: "),
        "{message}"
    );
}

#[test]
fn an_extended_resource_request_follows_its_limit() {
    let mut pod = fixture("default-with-service");
    pod["spec"]["containers"][0]["resources"] =
        json!({"limits": {"github.com/fuse": "3"}, "requests": {"github.com/fuse": "3"}});
    pod["spec"]["resources"] = json!({"limits": {"memory": "4Gi"}});
    let namespace = CLUSTER.unjudged("root-fuse");
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let resources = &answer["spec"]["containers"][0]["resources"];
    assert_eq!(resources["limits"]["github.com/fuse"], json!("1"));
    assert_eq!(resources["requests"]["github.com/fuse"], json!("1"));
}
