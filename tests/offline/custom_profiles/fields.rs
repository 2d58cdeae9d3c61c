//! The fields that a profile sets, and those it sets where the pod has none.

use cases::view::{View, container_mut};
use serde_json::json;

use super::{corrected, job};

#[test]
fn env_overrides_the_jobs_under_set_and_adds_to_it_under_if_unset() {
    let mut pod = job();
    let env = container_mut(&mut pod, "build")["env"]
        .as_array_mut()
        .expect("env");
    env.push(json!({"name": "BUILDAH_ISOLATION", "value": "oci"}));
    env.push(json!({"name": "STORAGE_DRIVER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}));
    env.push(json!({"name": "TMPDIR", "value": "/job"}));
    let pod = corrected(
        &pod,
        "containers: {build: {set: {env: {BUILDAH_ISOLATION: chroot, STORAGE_DRIVER: overlay}},
           ifUnset: {env: {TMPDIR: /profile, STORAGE_OPTS: ''}}}}",
    );
    assert_eq!(
        pod.env("build", "BUILDAH_ISOLATION").as_deref(),
        Some("chroot")
    );
    assert_eq!(
        pod.env("build", "STORAGE_DRIVER").as_deref(),
        Some("overlay")
    );
    assert_eq!(pod.env("build", "TMPDIR").as_deref(), Some("/job"));
    assert_eq!(
        pod.env("build", "STORAGE_OPTS").as_deref(),
        Some(""),
        "present but empty"
    );
}

#[test]
fn an_apparmor_profile_is_set_in_the_annotation_too_where_the_pod_has_one() {
    let key = "container.apparmor.security.beta.kubernetes.io/build";
    let mut pod = job();
    pod["metadata"]["annotations"][key] = "runtime/default".into();
    for (profile, field, annotation) in [
        (
            "type: Unconfined",
            json!({"type": "Unconfined"}),
            "unconfined",
        ),
        (
            "type: Localhost, localhostProfile: podman",
            json!({"type": "Localhost", "localhostProfile": "podman"}),
            "localhost/podman",
        ),
    ] {
        let yaml = format!(
            "containers: {{build: {{set: {{securityContext: {{appArmorProfile: \
             {{{profile}}}}}}}}}}}"
        );
        let pod = corrected(&pod, &yaml);
        assert_eq!(pod.security("build", "appArmorProfile"), &field);
        assert_eq!(pod.0["metadata"]["annotations"][key], annotation);
    }
}

#[test]
fn a_seccomp_profile_replaces_the_pods_own_as_a_whole() {
    let mut pod = job();
    container_mut(&mut pod, "build")["securityContext"]["seccompProfile"] =
        json!({"type": "Localhost", "localhostProfile": "old.json"});
    let yaml =
        "containers: {build: {set: {securityContext: {seccompProfile: {type: Unconfined}}}}}";
    let pod = corrected(&pod, yaml);
    assert_eq!(
        pod.security("build", "seccompProfile"),
        &json!({"type": "Unconfined"})
    );
}

#[test]
fn pod_fields_are_set_and_set_if_unset() {
    let yaml = "pod: {set: {annotations: {a: set}, securityContext: {runAsNonRoot: true}},
                 ifUnset: {annotations: {a: default, b: default}, hostUsers: false,
                           securityContext: {runAsUser: 7}}}";
    let mut pod = job();
    pod["metadata"]["annotations"]["b"] = "own".into();
    pod["spec"]["securityContext"] = json!({"runAsUser": 5, "runAsNonRoot": false});
    let View(pod) = corrected(&pod, yaml);
    assert_eq!((&pod["metadata"]["annotations"]["a"]), &json!("set"));
    assert_eq!((&pod["metadata"]["annotations"]["b"]), &json!("own"));
    assert_eq!(pod["spec"]["hostUsers"], json!(false));
    assert_eq!(
        pod["spec"]["securityContext"],
        json!({"runAsUser": 5, "runAsNonRoot": true})
    );
}

#[test]
fn dropping_all_removes_what_the_pod_adds_and_keeps_what_the_profile_adds() {
    let mut pod = job();
    container_mut(&mut pod, "build")["securityContext"]["capabilities"] =
        json!({"add": ["SYS_ADMIN", "CAP_SETUID"], "drop": ["SETGID"]});
    let yaml = "containers: {build: {capabilities: {add: [SETUID, SETGID], drop: [ALL]}}}";
    let pod = corrected(&pod, yaml);
    assert_eq!(pod.capabilities("build", "add"), ["CAP_SETUID", "SETGID"]);
    assert_eq!(pod.capabilities("build", "drop"), ["ALL"]);
}

#[test]
fn services_can_have_rules_and_a_home_can_have_a_size_limit() {
    let yaml = "home: {path: /home/job, sizeLimit: 10Gi}
containers:
  build: {home: true}
  services: {ifUnset: {securityContext: {runAsUser: 70}}, home: true}";
    let pod = corrected(&job(), yaml);
    assert_eq!(pod.uid("svc-0"), Some(70));
    assert_eq!(pod.env("svc-0", "HOME").as_deref(), Some("/home/job"));
    let volume = pod.mounted_at("build", "/home/job").expect("a volume");
    assert_eq!(volume["emptyDir"], json!({"sizeLimit": "10Gi"}));
}

#[test]
fn a_seccomp_profile_is_set_in_the_older_annotations_too_where_the_pod_has_them() {
    let of_build = "container.seccomp.security.alpha.kubernetes.io/build";
    let of_pod = "seccomp.security.alpha.kubernetes.io/pod";
    let confinements = [
        ("type: Unconfined", "unconfined"),
        ("type: RuntimeDefault", "runtime/default"),
        (
            "type: Localhost, localhostProfile: podman.json",
            "localhost/podman.json",
        ),
    ];
    for (profile, annotation) in confinements {
        for part in ["set", "ifUnset"] {
            let context = format!("{part}: {{securityContext: {{seccompProfile: {{{profile}}}}}}}");
            for (key, rules) in [
                (of_build, format!("containers: {{build: {{{context}}}}}")),
                (of_pod, format!("pod: {{{context}}}")),
            ] {
                for old in ["unconfined", "runtime/default", "localhost/other.json"] {
                    let mut pod = job();
                    pod["metadata"]["annotations"][key] = old.into();
                    let pod = corrected(&pod, &rules);
                    let annotations = &pod.0["metadata"]["annotations"];
                    assert_eq!(annotations[key], annotation, "{rules}");
                }
            }
            // As good as runtime/default, to the API server.
            let rules = format!("containers: {{build: {{{context}}}}}");
            let mut pod = job();
            pod["metadata"]["annotations"][of_build] = "docker/default".into();
            let pod = corrected(&pod, &rules);
            let kept = match annotation {
                "runtime/default" => "docker/default",
                other => other,
            };
            assert_eq!(pod.0["metadata"]["annotations"][of_build], kept);
            assert_eq!(pod.0["metadata"]["annotations"].get(of_pod), None);
        }
    }
}
