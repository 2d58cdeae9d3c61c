//! A HOME that cannot be one is denied, with the path and a way out.

use cases::answer::{Answer, answer_for, denial};
use cases::fixture;
use cases::view::container_mut;
use serde_json::{Value, json};

/// A job pod in which nothing is configured, with `env` in `build`.
fn job_with_env(env: Value) -> Value {
    let mut pod = fixture("default-with-service");
    container_mut(&mut pod, "build")["env"] = env;
    pod
}

fn job_with_home(path: &str) -> Value {
    job_with_env(json!([{"name": "CI", "value": "true"}, {"name": "HOME", "value": path}]))
}

#[test]
fn a_home_around_a_raw_block_device_is_denied_naming_both() {
    let mut pod = job_with_home("/home/me");
    container_mut(&mut pod, "build")["volumeDevices"] =
        json!([{"name": "raw", "devicePath": "/home/me/disk"}]);
    let message = denial(&pod, "rootless");
    let why = "container \"build\", env HOME: \"/home/me\" contains \"/home/me/disk\", which is a \
               raw block device; ";
    assert!(message.starts_with(why), "{message}");
}

#[test]
fn only_a_variable_that_the_job_sets_is_blamed() {
    let read_only = |mut pod: Value, path: &str| {
        let mount = json!([{"name": "repo", "mountPath": path, "readOnly": true}]);
        container_mut(&mut pod, "build")["volumeMounts"] = mount;
        denial(&pod, "rootless")
    };
    let blames = "set the job variable HOME";
    assert!(read_only(job_with_home("/home/me"), "/home/me").contains(blames));
    let message = read_only(fixture("default-with-service"), "/my_custom_dir");
    assert!(!message.contains(blames), "{message}");
    assert!(message.contains("mount that volume elsewhere"), "{message}");
}

#[test]
fn a_home_on_a_read_only_mount_is_denied_with_what_is_mounted_there() {
    let cases = [
        (json!({"emptyDir": {}}), json!({"readOnly": true})),
        (json!({"configMap": {"name": "c"}}), json!({})),
        (json!({"secret": {"secretName": "s"}}), json!({})),
        (json!({"image": {"reference": "i"}}), json!({})),
    ];
    for (mut volume, mut mount) in cases {
        let mut pod = job_with_home("/data/home");
        volume["name"] = "ours".into();
        mount["name"] = "ours".into();
        mount["mountPath"] = "/data/".into();
        let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
        volumes.push(volume.clone());
        let mounts = &mut container_mut(&mut pod, "build")["volumeMounts"];
        mounts.as_array_mut().expect("mounts").push(mount.clone());
        let message = denial(&pod, "rootless");
        let why = "container \"build\", env HOME: \"/data/home\" is in \"/data/\", which is \
                   mounted read-only, and git and Podman write to HOME; ";
        assert!(message.starts_with(why), "{volume} {mount}: {message}");
        // Another volume in between can be written to.
        let mounts = &mut container_mut(&mut pod, "build")["volumeMounts"];
        let between = json!({"name": "repo", "mountPath": "/data/home"});
        mounts.as_array_mut().expect("mounts").insert(0, between);
        assert!(matches!(answer_for(&pod, "rootless"), Answer::Patch(_)));
    }
    let mut pod = job_with_home("/dev-raw/home");
    container_mut(&mut pod, "build")["volumeDevices"] =
        json!([{"name": "raw", "devicePath": "/dev-raw"}]);
    let message = denial(&pod, "rootless");
    assert!(message.contains("which is a raw block device"), "{message}");
}

#[test]
fn dangerous_paths_are_denied_with_the_path_and_a_remedy() {
    for path in [
        "/",
        "//",
        "",
        "home/me",
        ".",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/a:b",
        "/proc",
        "/proc/1",
        "/sys",
        "/sys/fs/cgroup/",
        "/dev",
        "/dev/shm",
        "/etc",
        "/etc/podman",
        "/bin",
        "/sbin",
        "/usr",
        "/usr/local",
        "/lib",
        "/lib64/x",
        "/run",
        "/var/run/secrets",
        "/home",
        "/var",
        "/opt",
    ] {
        let message = denial(&job_with_home(path), "rootless");
        assert!(
            message.contains(&format!("\"{path}\"")),
            "{path} in {message}"
        );
        assert!(
            message.contains("env HOME")
                && message.contains("to fix this, set the job variable HOME"),
            "{message}"
        );
    }
}

#[test]
fn a_path_with_a_dollar_is_denied_since_the_kubelet_expands_it() {
    for path in ["/home/$(GITLAB_USER_LOGIN)", "$(CI_PROJECT_DIR)", "/a$$b"] {
        let message = denial(&job_with_home(path), "rootless");
        assert!(
            message.contains('$') && message.contains("expand"),
            "{message}"
        );
    }
}

#[test]
fn a_home_from_value_from_is_denied() {
    let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    let pod = job_with_env(json!([{"name": "HOME", "valueFrom": from}]));
    let message = denial(&pod, "rootless");
    assert!(message.contains("valueFrom"), "{message}");
}

#[test]
fn a_bad_home_is_denied_if_it_is_the_last_of_several() {
    let [good, bad] = ["/home/me", "/etc"].map(|path| json!({"name": "HOME", "value": path}));
    let message = denial(&job_with_env(json!([good, bad])), "rootless");
    assert!(message.contains("\"/etc\""), "{message}");
}

#[test]
fn a_denial_stays_short_when_every_character_of_every_path_is_escaped() {
    let path = format!("/{}", "\u{1f600}".repeat(127));
    let mut pod = job_with_home(&path);
    let mount = json!([{"name": "repo", "mountPath": path, "readOnly": true}]);
    container_mut(&mut pod, "build")["volumeMounts"] = mount;
    let message = denial(&pod, "rootless");
    assert!(message.len() < 2000, "{} bytes: {message}", message.len());
}
