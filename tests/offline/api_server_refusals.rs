//! What the API server refuses, or a kubelet never starts: a job pod that a
//! correction would make so is denied, in words its author can use, and every
//! other result is valid.

use cases::answer::{Answer, answer_at, corrected, denial, patched};
use cases::fixture;
use cases::refusals::refusals;
use cases::view::{container, container_mut};
use serde_json::{Value, json};

const APPARMOR_OF_BUILD: &str = "container.apparmor.security.beta.kubernetes.io/build";

/// A job pod whose container `name` has `context` as its security context.
fn job_with(name: &str, context: Value) -> Value {
    let mut pod = fixture("default-with-service");
    container_mut(&mut pod, name)["securityContext"] = context;
    pod
}

/// `pod` as stored under `profile`, which the API server accepts.
fn accepted(pod: &Value, profile: &str) -> Value {
    let pod = corrected(pod, profile);
    assert_eq!(refusals(&pod), [""; 0], "{profile}: {pod}");
    pod
}

fn denied(pod: &Value, profile: &str, parts: &[&str]) {
    let message = denial(pod, profile);
    for part in parts {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn privileged_without_escalation_is_corrected_in_build_and_denied_in_a_service() {
    let contradiction = json!({"privileged": true, "allowPrivilegeEscalation": false});
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
    ] {
        accepted(&job_with("build", contradiction.clone()), profile);
        accepted(&job_with("helper", contradiction.clone()), profile);
        accepted(
            &job_with("init-permissions", contradiction.clone()),
            profile,
        );
        let parts = [
            "container \"svc-0\"",
            "securityContext.privileged",
            "allowPrivilegeEscalation: false",
        ];
        denied(&job_with("svc-0", contradiction.clone()), profile, &parts);
    }
}

#[test]
fn cap_sys_admin_without_escalation_is_denied_and_sys_admin_is_not() {
    let with = |name| job_with("build", json!({"capabilities": {"add": [name]}}));
    let parts = [
        "container \"build\"",
        "securityContext.capabilities.add",
        "CAP_SYS_ADMIN",
        "config.toml",
    ];
    denied(&with("CAP_SYS_ADMIN"), "root-fuse", &parts);
    let pod = accepted(&with("SYS_ADMIN"), "root-fuse");
    let added = &container(&pod, "build")["securityContext"]["capabilities"]["add"];
    assert_eq!(added[0], "SYS_ADMIN");
    accepted(&with("CAP_SYS_ADMIN"), "rootless");
}

#[test]
fn an_unmasked_proc_comes_with_a_user_namespace() {
    for host_users in [None, Some(true), Some(false)] {
        let mut pod = fixture("default-with-service");
        if let Some(host_users) = host_users {
            pod["spec"]["hostUsers"] = json!(host_users);
        }
        let pod = accepted(&pod, "userns");
        assert_eq!(
            container(&pod, "build")["securityContext"]["procMount"],
            "Unmasked"
        );
        assert_eq!(pod["spec"]["hostUsers"], false);
    }
}

#[test]
fn a_user_namespace_together_with_a_host_namespace_is_denied() {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let mut pod = fixture("default-with-service");
        pod["spec"][field] = json!(true);
        denied(
            &pod,
            "userns",
            &["pod, ", field, "hostUsers: false", "config.toml"],
        );
        accepted(&pod, "rootless");
        pod["spec"][field] = json!(false);
        accepted(&pod, "userns");
    }
}

#[test]
fn a_request_follows_the_limit() {
    for before in [
        json!({"limits": {"github.com/fuse": "2"}, "requests": {"github.com/fuse": "2"}}),
        json!({"requests": {"github.com/fuse": "2"}}),
        json!({"limits": {"github.com/fuse": 2}, "requests": {"github.com/fuse": 2}}),
        json!({"limits": {"github.com/fuse": "1"}, "requests": {"github.com/fuse": "2"}}),
    ] {
        let mut pod = fixture("default-with-service");
        container_mut(&mut pod, "build")["resources"] = before;
        let pod = accepted(&pod, "root-fuse");
        let resources = &container(&pod, "build")["resources"];
        assert_eq!(resources["limits"]["github.com/fuse"], "1");
        assert_eq!(resources["requests"]["github.com/fuse"], "1");
    }
}

#[test]
fn a_limit_alone_gets_no_request_since_the_api_server_adds_it() {
    for before in [
        Value::Null,
        json!({}),
        json!({"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}}),
    ] {
        let mut pod = fixture("default-with-service");
        container_mut(&mut pod, "build")["resources"] = before.clone();
        let pod = accepted(&pod, "root-fuse");
        let resources = &container(&pod, "build")["resources"];
        assert_eq!(resources["limits"]["github.com/fuse"], "1");
        assert_eq!(resources["limits"]["memory"], before["limits"]["memory"]);
        assert_eq!(resources["requests"], before["requests"]);
    }
}

#[test]
fn an_extended_resource_is_never_in_the_pods_own_resources() {
    let mut pod = fixture("default-with-service");
    pod["spec"]["resources"] = json!({"limits": {"memory": "4Gi"}});
    let after = accepted(&pod, "root-fuse");
    assert_eq!(after["spec"]["resources"], pod["spec"]["resources"]);
}

#[test]
fn no_volume_or_mount_path_comes_twice() {
    let mut pod = fixture("default-with-service");
    let volumes = pod["spec"]["volumes"]
        .as_array_mut()
        .expect("a job pod has volumes");
    volumes.push(json!({"name": "podseal-home", "emptyDir": {}}));
    let mount = json!({"name": "podseal-home", "mountPath": "/my_custom_dir/"});
    container_mut(&mut pod, "helper")["volumeMounts"] = json!([mount]);
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
    ] {
        accepted(&pod, profile);
    }
}

#[test]
fn an_apparmor_annotation_and_field_that_agree_are_not_changed() {
    let context = json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "podman"}});
    let mut pod = job_with("build", context.clone());
    pod["metadata"]["annotations"][APPARMOR_OF_BUILD] = json!("localhost/podman");
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
    ] {
        let pod = accepted(&pod, profile);
        let field = &container(&pod, "build")["securityContext"]["appArmorProfile"];
        assert_eq!(*field, context["appArmorProfile"]);
    }
}

#[test]
fn older_seccomp_annotations_follow_the_fields_that_a_correction_sets() {
    let of_build = "container.seccomp.security.alpha.kubernetes.io/build";
    let of_helper = "container.seccomp.security.alpha.kubernetes.io/helper";
    let of_service = "container.seccomp.security.alpha.kubernetes.io/svc-0";
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
    ] {
        for old in ["unconfined", "localhost/podman", "docker/default"] {
            let mut pod = fixture("default-with-service");
            for key in [of_build, of_helper, of_service] {
                pod["metadata"]["annotations"][key] = json!(old);
            }
            accepted(&pod, profile);
            // At this level podseal sets the field by itself.
            let after = match answer_at(&pod, profile, "restricted") {
                Answer::Patch(patch) => patched(&pod, &patch),
                other => panic!("{profile}: {other:?}"),
            };
            assert_eq!(refusals(&after), [""; 0], "{profile}: {after}");
            let annotations = &after["metadata"]["annotations"];
            assert_eq!(annotations[of_service], old, "services are left alone");
            let field = &container(&after, "helper")["securityContext"]["seccompProfile"]["type"];
            assert_eq!(field, "RuntimeDefault", "{profile}");
            let is_right = ["runtime/default", "docker/default"].map(Value::from);
            assert!(is_right.contains(&annotations[of_helper]), "{annotations}");
        }
    }
}

#[test]
fn root_in_build_replaces_run_as_non_root() {
    for pod_level in [true, false] {
        let mut pod = fixture("default-with-service");
        let place = if pod_level {
            &mut pod["spec"]
        } else {
            container_mut(&mut pod, "build")
        };
        place["securityContext"] = json!({"runAsNonRoot": true});
        let pod = accepted(&pod, "root-fuse");
        let context = &container(&pod, "build")["securityContext"];
        assert_eq!(
            (&context["runAsNonRoot"], &context["runAsUser"]),
            (&json!(false), &json!(0))
        );
    }
}

#[test]
fn a_user_that_cannot_be_mapped_is_denied_unless_the_profile_replaces_it() {
    let high = json!({"runAsUser": 1_000_660_000});
    accepted(&job_with("build", high.clone()), "userns");
    for (name, place) in [
        ("helper", "container \"helper\""),
        ("svc-0", "container \"svc-0\""),
        ("init-permissions", "init container \"init-permissions\""),
    ] {
        let parts = [place, "securityContext.runAsUser", "1000660000", "65535"];
        denied(&job_with(name, high.clone()), "userns", &parts);
        accepted(&job_with(name, high.clone()), "rootless");
    }
    let group = json!({"runAsGroup": 65_536});
    denied(
        &job_with("build", group),
        "userns",
        &["container \"build\"", "runAsGroup", "65536"],
    );
    accepted(&job_with("svc-0", json!({"runAsUser": 65_535})), "userns");
}

#[test]
fn a_pods_own_user_applies_to_every_container_that_has_none() {
    let mut pod = fixture("default-with-service");
    pod["spec"]["securityContext"] = json!({"runAsUser": 1_000_660_000});
    denied(&pod, "userns", &["runAsUser", "1000660000"]);
}

#[test]
fn a_raw_block_device_together_with_a_user_namespace_is_denied() {
    let mut pod = fixture("default-with-service");
    let devices = json!([{"name": "repo", "devicePath": "/dev/xvda"}]);
    container_mut(&mut pod, "svc-0")["volumeDevices"] = devices;
    denied(
        &pod,
        "userns",
        &["container \"svc-0\"", "volumeDevices", "hostUsers: false"],
    );
    accepted(&pod, "rootless");
}

#[test]
fn annotations_at_the_size_limit_leave_no_space_for_the_profiles() {
    let mut pod = fixture("default-with-service");
    pod["metadata"]["annotations"] = json!({"a": "x".repeat(256 * 1024 - 10)});
    denied(&pod, "openshift", &["metadata.annotations", "262144"]);
    accepted(&pod, "rootless");
}
