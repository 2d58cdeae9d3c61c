//! Kinds of runners with custom profiles, where the two exclude each other, or may
//! fail together.

use std::path::Path;

use cases::view::View;
use serde_json::{Value, json};
use support::controlplane::RUNNER;
use support::text;

use crate::fleet::{CLUSTER, PROFILES, job};

/// Profiles that `podseal profiles --check` accepts, some with a warning.
const ODD: [(&str, &str); 5] = [
    (
        "host-users",
        "extends: root-fuse\npod: {set: {hostUsers: true}}\n",
    ),
    (
        "far-user",
        "extends: rootless\ncontainers: {build: {set: {securityContext: {runAsUser: 70000}}}}\n",
    ),
    (
        "root-home",
        "containers: {build: {set: {securityContext: {runAsUser: 0}}, home: true}, \
         helper: {home: true}}\n",
    ),
    ("helper-home", "containers: {helper: {home: true}}\n"),
    (
        "in-group",
        "extends: rootless\npod: {set: {securityContext: {runAsGroup: 1000}}}\n",
    ),
];

/// Writes them into a new folder, next to the examples.
pub(crate) fn write(folder: &Path) {
    std::fs::create_dir(folder).expect("the folder is new");
    for example in std::fs::read_dir(PROFILES).expect("the examples") {
        let path = example.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, folder.join(name)).expect("it can be copied");
    }
    for (name, rules) in ODD {
        let text = format!("name: {name}\nsummary: for a test\n{rules}");
        let path = folder.join(format!("{name}.yaml"));
        std::fs::write(path, text).expect("the folder can be written");
    }
}

/// A job whose `build` has this HOME.
fn at_home(shape: &str, home: &str) -> Value {
    let mut pod = job(shape, "x");
    let build = &mut pod["spec"]["containers"][0];
    assert_eq!(build["name"], "build");
    if build["env"].is_null() {
        build["env"] = json!([]);
    }
    let env = build["env"].as_array_mut().expect("env");
    env.push(json!({"name": "HOME", "value": home}));
    pod
}

fn with_spec(mut pod: Value, key: &str, value: Value) -> Value {
    pod["spec"][key] = value;
    pod
}

#[test]
fn a_job_that_cannot_work_with_its_profile_is_denied_with_the_reason() {
    let suspendable = || job("suspendable", "x");
    let cases = [
        (
            "host-users",
            suspendable(),
            "pod, hostUsers: without hostUsers: false, which the runner sets for a suspendable \
             environment, its SYS_ADMIN would apply to the node itself; ",
        ),
        (
            "far-user",
            suspendable(),
            "container \"build\", securityContext.runAsUser: 70000 is not root, ",
        ),
        (
            "root-home",
            with_spec(
                suspendable(),
                "securityContext",
                json!({"runAsNonRoot": true}),
            ),
            "container \"build\", securityContext.runAsNonRoot: true forbids root, ",
        ),
        (
            "far-user",
            with_spec(job("legacy-exec", "x"), "hostUsers", json!(false)),
            "container \"build\", securityContext.runAsUser: 70000 does not exist in a pod with a \
             user namespace of its own (hostUsers: false), ",
        ),
        (
            "root-home",
            with_spec(
                job("honor-entrypoint", "x"),
                "securityContext",
                json!({"runAsNonRoot": true}),
            ),
            "container \"build\", securityContext.runAsNonRoot: true together with runAsUser: 0, ",
        ),
        (
            "root-home",
            at_home("suspendable", "/runner-overlay-init/home"),
            "container \"build\", env HOME: \"/runner-overlay-init/home\" is in \
             \"/runner-overlay-init\", which is mounted read-only, ",
        ),
    ];
    for (profile, pod, why) in cases {
        let namespace = CLUSTER.namespace_of(profile, "privileged");
        let (code, answer) = CLUSTER.create_pod(&namespace, &pod);
        let message = answer["message"].as_str().unwrap_or_default();
        let reported = format!("admission webhook \"mutate.podseal.io\" denied the request: {why}");
        assert!(
            code == 403 && message.starts_with(&reported),
            "{profile}: {message}"
        );
        assert!(message.contains("; to fix this, "), "{message}");
    }
}

#[test]
fn a_job_that_may_fail_with_its_profile_is_stored_with_a_warning_and_others_without() {
    let cases = [
        (
            "helper-home",
            "native-steps",
            "this pod has no helper (native steps)",
        ),
        ("root-home", "suspendable", "hides the volume at HOME"),
        // As root, helper may change the owner of files to any, and in the
        // group to that.
        ("root-fuse", "umask-collector", ""),
        ("rootless", "umask-collector", ""),
        ("in-group", "umask-collector", ""),
        ("root-home", "native-steps", ""),
        ("none", "suspendable", ""),
        ("rootless", "legacy-exec", ""),
    ];
    for (profile, shape, reported) in cases {
        let namespace = CLUSTER.namespace_of(profile, "privileged");
        let args = ["create", "-n", &namespace, "-f", "-"];
        let name = format!("{profile}-{shape}-together");
        let output = CLUSTER
            .plane
            .kubectl(RUNNER, &args, &job(shape, &name).to_string());
        let stderr = text(&output.stderr);
        assert!(output.status.success(), "{name}: {stderr}");
        let is_warned = stderr.contains("Warning: ");
        assert_eq!(is_warned, !reported.is_empty(), "{name}: {stderr}");
        assert!(stderr.contains(reported), "{name}: {stderr}");
        let record = CLUSTER.podseal.decision_on("mutate", &name);
        assert!(
            record["cautions"].to_string().contains(reported),
            "{record:#}"
        );
    }
}

#[test]
fn a_home_in_a_volume_of_the_runner_needs_no_volume_of_its_own() {
    let cases = [
        ("rootless", at_home("native-steps", "/cache"), "cache"),
        (
            "root-home",
            at_home("suspendable", "/gl_persist/me"),
            "gl-runner-suspend-pvc",
        ),
    ];
    for (profile, pod, volume) in cases {
        let namespace = CLUSTER.namespace_of(profile, "privileged");
        let (code, answer) = CLUSTER.create_pod(&namespace, &pod);
        assert_eq!(code, 201, "{volume}: {answer:#}");
        let stored = View(answer);
        let mounts = |pod: &View| {
            let mounts = pod.container("build")["volumeMounts"].clone();
            let mut mounts = mounts.as_array().expect("mounts").clone();
            // Buildah's, not HOME.
            mounts.retain(|mount| mount["mountPath"] != "/var/tmp");
            mounts
        };
        let of_posted = mounts(&View(pod));
        assert_eq!(mounts(&stored), of_posted, "{volume}");
        assert!(of_posted.iter().any(|mount| mount["name"] == volume));
    }
}
