//! The profiles in `examples/profiles`, each on what it is for.

use admission::lint::files::read;
use podseal::live_config::profile_folder::ProfileFolder;
use serde_json::{Value, json};

use crate::own_profiles::{CLUSTER, without_namespace};

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/profiles");

/// The pod as the API server would store it in a namespace of `profile`.
fn created(profile: &str, pod: &str) -> Value {
    let namespace = CLUSTER.namespace(Some(profile), "baseline");
    let pod = without_namespace(cases::fixture(pod));
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
    assert_eq!(code, 201, "{profile}: {answer:#}");
    answer
}

fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    let containers = pod["spec"]["containers"].as_array().expect("containers");
    let found = containers
        .iter()
        .find(|container| container["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {pod:#}"))
}

#[test]
fn every_example_is_accepted_without_a_warning() {
    let files = ProfileFolder::new(FOLDER).files().expect("the folder");
    let (profiles, remarks) = read(&files).expect("profiles");
    assert!(remarks.is_empty(), "{remarks:#?}");
    assert_eq!(profiles.custom().count(), 8);
}

#[test]
fn apparmor_is_unconfined_or_a_profile_of_the_nodes() {
    let pod = created("rootless-unconfined", "default-with-service");
    let given = &container(&pod, "build")["securityContext"]["appArmorProfile"];
    assert_eq!(given, &json!({"type": "Unconfined"}));
    let pod = created("rootless-apparmor", "default-with-service");
    let given = &container(&pod, "build")["securityContext"]["appArmorProfile"];
    assert_eq!(
        given,
        &json!({"type": "Localhost", "localhostProfile": "podman-build"})
    );
    let helper = &container(&pod, "helper")["securityContext"]["appArmorProfile"];
    assert_eq!(helper, &Value::Null, "build alone");
}

#[test]
fn a_docker_dind_service_keeps_the_privilege_that_build_loses() {
    let pod = created("dind-service", "privileged-with-service");
    assert_eq!(
        container(&pod, "docker")["securityContext"]["privileged"],
        true
    );
    for name in ["build", "helper"] {
        assert_eq!(
            container(&pod, name)["securityContext"]["privileged"],
            false
        );
    }
    // And without the grant such a pod may not pass.
    let namespace = CLUSTER.namespace(Some("rootless"), "baseline");
    let pod = without_namespace(cases::fixture("privileged-with-service"));
    assert_eq!(CLUSTER.plane.try_pod(&namespace, &pod).0, 403);
}

#[test]
fn seccomp_isolation_and_home_are_set_by_their_profiles() {
    let pod = created("rootless-seccomp", "default-with-service");
    let given = &container(&pod, "build")["securityContext"]["seccompProfile"];
    assert_eq!(given["localhostProfile"], "profiles/podman.json");
    let pod = created("rootless-seccomp", "default-with-service");
    let env = container(&pod, "build")["env"]
        .as_array()
        .expect("env")
        .clone();
    let value = |name: &str| env.iter().find(|var| var["name"] == name).cloned();
    assert_eq!(value("BUILDAH_ISOLATION").expect("set")["value"], "chroot");
    assert!(value("STORAGE_OPTS").is_some(), "present, and empty");
    let pod = created("home-in-memory", "default-with-service");
    let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
    let home = volumes
        .iter()
        .find(|volume| volume["name"] == "podseal-home");
    let home = &home.expect("the volume")["emptyDir"];
    assert_eq!(home, &json!({"medium": "Memory", "sizeLimit": "4Gi"}));
}

#[test]
fn userns_works_with_openshifts_nested_container() {
    let pod = created("openshift-nested", "default-with-service");
    assert_eq!(pod["spec"]["hostUsers"], false);
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["openshift.io/required-scc"], "nested-container");
    let given = &container(&pod, "build")["securityContext"]["seLinuxOptions"];
    assert_eq!(given["type"], "container_engine_t");
}
