//! Each built-in profile's row in the table of `docs/profiles.md`, read back
//! from the pod as the API server stored it.

use cases::view::View;
use serde_json::{Value, json};

use crate::apiserver::stored;

const HOME: &str = "/my_custom_dir";

/// `build` and `helper` have a HOME on a volume of its own, and no other container
/// has.
fn assert_home_on_a_volume(pod: &View) {
    for container in ["build", "helper"] {
        assert_eq!(
            pod.env(container, "HOME").as_deref(),
            Some(HOME),
            "{container}"
        );
        let volume = pod.mounted_at(container, HOME).expect("a volume at HOME");
        assert!(volume["emptyDir"].is_object(), "{volume}");
    }
    for container in ["svc-0", "init-permissions"] {
        assert_eq!(pod.env(container, "HOME"), None, "{container}");
        assert!(pod.mounted_at(container, HOME).is_none(), "{container}");
    }
}

fn assert_home_untouched(pod: &View) {
    for container in ["build", "helper", "svc-0", "init-permissions"] {
        assert_eq!(pod.env(container, "HOME"), None, "{container}");
    }
}

/// The service is unchanged: the profile is for the runner's containers.
fn assert_service_untouched(pod: &View, service: &str) {
    assert_eq!(pod.uid(service), None);
    assert_eq!(
        pod.security(service, "allowPrivilegeEscalation"),
        &Value::Null
    );
    assert_eq!(pod.capabilities(service, "add"), Vec::<&str>::new());
}

fn assert_unprivileged(pod: &View, containers: &[&str]) {
    for container in containers {
        assert_eq!(
            pod.security(container, "privileged"),
            &json!(false),
            "{container}"
        );
    }
}

#[test]
fn userns_sets_a_user_namespace_for_the_pod_and_an_unmasked_proc_for_build() {
    let pod = stored("default-with-service", "userns");
    assert_eq!(pod.0["spec"]["hostUsers"], json!(false));
    assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
    assert_eq!(pod.security("build", "procMount"), &json!("Unmasked"));
    assert_eq!(
        pod.security("build", "allowPrivilegeEscalation"),
        &json!(true)
    );
    assert_eq!(pod.capabilities("build", "add"), ["SETUID", "SETGID"]);
    for container in ["build", "helper", "init-permissions"] {
        assert_eq!(pod.uid(container), Some(1000), "{container}");
    }
    assert_home_on_a_volume(&pod);
    assert_service_untouched(&pod, "svc-0");
}

#[test]
fn rootless_runs_build_as_1000_and_allows_newuidmap_its_capabilities() {
    let pod = stored("default-with-service", "rootless");
    assert_eq!(pod.0["spec"].get("hostUsers"), None);
    assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
    assert_eq!(
        pod.security("build", "allowPrivilegeEscalation"),
        &json!(true)
    );
    assert_eq!(pod.capabilities("build", "add"), ["SETUID", "SETGID"]);
    for container in ["build", "helper", "init-permissions"] {
        assert_eq!(pod.uid(container), Some(1000), "{container}");
    }
    assert_home_on_a_volume(&pod);
    assert_service_untouched(&pod, "svc-0");
}

#[test]
fn root_fuse_runs_build_as_root_with_a_fuse_device_and_no_privilege() {
    let pod = stored("default-with-service", "root-fuse");
    assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
    assert_eq!(pod.uid("build"), Some(0));
    assert_eq!(pod.effective("build", "runAsGroup"), json!(0));
    assert_eq!(pod.effective("build", "runAsNonRoot"), json!(false));
    assert_eq!(
        pod.security("build", "allowPrivilegeEscalation"),
        &json!(false)
    );
    assert_eq!(pod.limit("build", "github.com/fuse"), Some("1"));
    let requests = &pod.container("build")["resources"]["requests"];
    assert_eq!(
        requests["github.com/fuse"],
        json!("1"),
        "the API server adds the request"
    );
    let added = ["SETUID", "SETGID", "SETFCAP", "SYS_CHROOT"];
    assert_eq!(pod.capabilities("build", "add"), added);
    assert_eq!(pod.uid("helper"), None, "the helper image's own user");
    assert_eq!(pod.limit("helper", "github.com/fuse"), None);
    assert_home_untouched(&pod);
    assert_service_untouched(&pod, "svc-0");
}

#[test]
fn openshift_is_rootless_with_crios_device_an_scc_and_the_engines_selinux_type() {
    let pod = stored("default-with-service", "openshift");
    let annotations = &pod.0["metadata"]["annotations"];
    assert_eq!(
        annotations["io.kubernetes.cri-o.Devices"],
        json!("/dev/fuse")
    );
    assert_eq!(
        annotations["openshift.io/required-scc"],
        json!("podseal-rootless")
    );
    assert_eq!(
        pod.security("build", "seLinuxOptions"),
        &json!({"type": "container_engine_t"})
    );
    assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
    assert_eq!(
        pod.security("build", "allowPrivilegeEscalation"),
        &json!(true)
    );
    assert_eq!(pod.capabilities("build", "add"), ["SETUID", "SETGID"]);
    assert_eq!(pod.uid("build"), Some(1000));
    assert_home_on_a_volume(&pod);
    assert_service_untouched(&pod, "svc-0");
}

#[test]
fn privileged_makes_build_privileged_and_helper_and_init_unprivileged() {
    let pod = stored("privileged-with-service", "privileged");
    assert_eq!(pod.security("build", "privileged"), &json!(true));
    assert_eq!(
        pod.security("build", "allowPrivilegeEscalation"),
        &json!(true)
    );
    assert_unprivileged(&pod, &["helper", "init-permissions"]);
    for container in ["build", "helper", "init-permissions"] {
        assert_eq!(pod.uid(container), Some(1000), "{container}");
    }
    for container in ["build", "helper"] {
        assert_eq!(pod.env(container, "HOME").as_deref(), Some(HOME));
    }
    assert_eq!(
        pod.security("docker", "privileged"),
        &json!(true),
        "as it came"
    );
    assert_service_untouched(&pod, "docker");
}

#[test]
fn every_profile_but_privileged_removes_privileged_from_build_and_leaves_it_on_a_service() {
    for profile in ["userns", "rootless", "root-fuse", "openshift"] {
        let pod = stored("privileged-with-service", profile);
        assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
        assert_eq!(
            pod.security("docker", "privileged"),
            &json!(true),
            "{profile}"
        );
    }
}

#[test]
fn none_changes_nothing() {
    for fixture in ["default-with-service", "privileged-with-service"] {
        let pod = stored(fixture, "none");
        let unjudged = {
            let namespace = crate::apiserver::CLUSTER.namespace(None);
            let (code, answer) = crate::apiserver::CLUSTER
                .plane
                .create_pod(&namespace, &crate::apiserver::fixture(fixture));
            assert_eq!(code, 201, "{answer:#}");
            answer
        };
        assert_eq!(pod.0["spec"], unjudged["spec"], "{fixture}");
        assert_eq!(
            pod.0["metadata"]["annotations"],
            unjudged["metadata"]["annotations"]
        );
    }
}

#[test]
fn the_seeds_first_section_needs_no_privilege_in_userns() {
    let pod = stored("privileged-nonroot", "userns");
    assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
    for container in ["build", "helper"] {
        assert_eq!(pod.uid(container), Some(1000));
        assert_eq!(pod.env(container, "HOME").as_deref(), Some(HOME));
        let volume = pod
            .mounted_at(container, HOME)
            .expect("the runner's own volume");
        assert_eq!(
            volume["name"],
            json!("repo"),
            "it mounts repo there already"
        );
    }
}

#[test]
fn the_seeds_second_section_is_already_right_but_for_what_helper_and_init_get() {
    let pod = stored("root-fuse", "root-fuse");
    assert_eq!(pod.uid("build"), Some(0));
    assert_eq!(pod.limit("build", "github.com/fuse"), Some("1"));
    assert_unprivileged(&pod, &["build", "helper", "init-permissions"]);
}
