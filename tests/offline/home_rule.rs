//! The HOME rule: `build` and `helper` share a HOME they can write to, unless
//! the path that the job names cannot be one.

use cases::answer::corrected;
use cases::fixture;
use cases::view::{container, container_mut, home, volume, volume_at};
use serde_json::{Value, json};

/// The path that the built-in profiles use where the job has none.
const OWN: &str = "/my_custom_dir";

/// A job pod in which nothing is configured, with `env` in `build`.
fn job_with_env(env: Value) -> Value {
    let mut pod = fixture("default-with-service");
    container_mut(&mut pod, "build")["env"] = env;
    pod
}

fn job_with_home(path: &str) -> Value {
    job_with_env(json!([{"name": "CI", "value": "true"}, {"name": "HOME", "value": path}]))
}

/// Mounts the builds at `path` in every container, as `builds_dir` does.
fn with_builds_at(mut pod: Value, path: &str) -> Value {
    for name in ["build", "helper", "init-permissions"] {
        container_mut(&mut pod, name)["volumeMounts"] =
            json!([{"name": "repo", "mountPath": path}]);
    }
    pod
}

/// The HOME of `build` and `helper`, when it is the same.
fn shared_home(pod: &Value) -> &str {
    let [build, helper] = ["build", "helper"].map(|name| home(container(pod, name)));
    assert_eq!(build, helper, "build and helper have the same HOME");
    build.expect("build has a HOME")
}

/// Whether both containers have podseal's volume, and the same, at `path`.
fn is_mounted_at(pod: &Value, path: &str) -> bool {
    let [build, helper] = ["build", "helper"].map(|name| volume_at(container(pod, name), path));
    assert_eq!(
        build, helper,
        "build and helper have the same volume at {path}"
    );
    build.is_some_and(|name| volume(pod, name) == Some(&json!({"name": name, "emptyDir": {}})))
}

/// The pod's volumes without the one that is not for HOME.
fn volumes_for_home(pod: &Value) -> Vec<&Value> {
    let volumes = pod["spec"]["volumes"].as_array().expect("volumes").iter();
    volumes
        .filter(|volume| volume["name"] != "podseal-tmp")
        .collect()
}

fn has_no_volume_of_ours(pod: &Value) -> bool {
    !pod["spec"]["volumes"].to_string().contains("podseal-home")
}

#[test]
fn a_job_without_home_gets_the_profiles_on_a_volume_of_its_own() {
    let pod = corrected(&fixture("default-with-service"), "rootless");
    assert_eq!(shared_home(&pod), OWN);
    assert!(is_mounted_at(&pod, OWN), "{pod}");
}

#[test]
fn init_containers_and_services_get_neither_home_nor_volume() {
    let before = fixture("default-with-service");
    let pod = corrected(&before, "rootless");
    for name in ["init-permissions", "svc-0"] {
        let (was, is) = (container(&before, name), container(&pod, name));
        assert_eq!(
            (&was["env"], &was["volumeMounts"]),
            (&is["env"], &is["volumeMounts"]),
            "{name}"
        );
    }
}

#[test]
fn the_home_that_a_job_sets_is_mounted_and_set_in_the_helper() {
    for path in ["/home/me", "/root", "/opt/app", "/tmp/home", "/usrx"] {
        let pod = corrected(&job_with_home(path), "rootless");
        assert_eq!(shared_home(&pod), path);
        assert!(is_mounted_at(&pod, path), "{path}: {pod}");
        assert!(!is_mounted_at(&pod, OWN), "{path}: {pod}");
    }
}

#[test]
fn a_trailing_slash_is_kept_in_home_and_removed_from_the_mount() {
    let pod = corrected(&job_with_home("/home/me/"), "rootless");
    assert_eq!(shared_home(&pod), "/home/me/");
    assert!(is_mounted_at(&pod, "/home/me"), "{pod}");
}

#[test]
fn a_helpers_own_home_is_replaced_by_that_of_build() {
    let mut pod = job_with_home("/home/me");
    let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    for own in [
        json!({"name": "HOME", "value": "/root"}),
        json!({"name": "HOME", "valueFrom": from}),
    ] {
        container_mut(&mut pod, "helper")["env"] = json!([own]);
        let pod = corrected(&pod, "rootless");
        let vars = &container(&pod, "helper")["env"];
        assert_eq!(*vars, json!([{"name": "HOME", "value": "/home/me"}]));
    }
}

#[test]
fn nothing_is_mounted_if_home_is_a_mount_or_inside_one() {
    for (mount, path) in [
        ("/my_custom_dir", "/my_custom_dir"),
        ("/my_custom_dir/", "/my_custom_dir"),
        ("/my_custom_dir", "/my_custom_dir/"),
        ("/data", "/data/home"),
        ("/a/./b//../b", "/a/b/c"),
    ] {
        let mut before = with_builds_at(job_with_home(path), mount);
        keep_builds(&mut before);
        let pod = corrected(&before, "rootless");
        assert_eq!(shared_home(&pod), path);
        assert_eq!(
            volumes_for_home(&before),
            volumes_for_home(&pod),
            "{path} in {mount}"
        );
        assert_eq!(
            volume_at(container(&pod, "build"), mount),
            Some("repo"),
            "{path} in {mount}"
        );
    }
}

/// Puts the builds on a volume that keeps its files, as an administrator's may.
fn keep_builds(pod: &mut Value) {
    let volumes = pod["spec"]["volumes"].as_array_mut().expect("volumes");
    let repo = volumes.iter_mut().find(|volume| volume["name"] == "repo");
    *repo.expect("the builds") =
        json!({"name": "repo", "persistentVolumeClaim": {"claimName": "builds"}});
}

/// The `GIT_CONFIG_GLOBAL` of a container.
fn git_config<'p>(pod: &'p Value, name: &str) -> Option<&'p str> {
    let vars = container(pod, name)["env"].as_array()?;
    let mut vars = vars.iter();
    vars.find(|var| var["name"] == "GIT_CONFIG_GLOBAL")?["value"].as_str()
}

#[test]
fn git_gets_its_file_elsewhere_where_home_is_made_after_it_runs() {
    let file = Some("/podseal-git/config");
    for path in [
        "/builds/platform/images",
        "/builds/platform/images/",
        "/builds/home",
    ] {
        let pod = corrected(&with_builds_at(job_with_home(path), "/builds"), "rootless");
        assert_eq!(shared_home(&pod), path);
        assert!(is_mounted_at(&pod, "/podseal-git"), "{pod}");
        for name in ["build", "helper"] {
            assert_eq!(git_config(&pod, name), file, "{name}: {pod}");
        }
    }
}

#[test]
fn git_gets_its_file_elsewhere_in_a_checkout_on_any_volume() {
    for (path, is_moved) in [
        ("/builds/a/b", true),
        ("/builds/a/b/c", true),
        ("/builds/x", false),
    ] {
        let project = json!({"name": "CI_PROJECT_DIR", "value": "/builds/a/b"});
        let env = json!([project, {"name": "HOME", "value": path}]);
        let mut pod = with_builds_at(job_with_env(env), "/builds");
        keep_builds(&mut pod);
        let pod = corrected(&pod, "rootless");
        assert_eq!(git_config(&pod, "helper").is_some(), is_moved, "{path}");
    }
}

#[test]
fn a_home_beside_the_checkout_has_a_volume_of_its_own() {
    for (path, is_own) in [
        ("/builds/home", true),
        ("/builds/a/home", true),
        ("/builds/a/bc", true),
        ("/builds/a", false),
        ("/builds/a/b", false),
        ("/builds/a/b/home", false),
    ] {
        let project = json!({"name": "CI_PROJECT_DIR", "value": "/builds/a/b"});
        let env = json!([project, {"name": "HOME", "value": path}]);
        let pod = corrected(&with_builds_at(job_with_env(env), "/builds"), "rootless");
        for name in ["build", "helper"] {
            assert_eq!(
                volume_at(container(&pod, name), path) == Some("podseal-home"),
                is_own,
                "{path}: {pod}"
            );
            assert_eq!(git_config(&pod, name).is_none(), is_own, "{path}");
        }
        assert_eq!(corrected(&pod, "rootless"), pod);
    }
}

#[test]
fn a_job_that_names_gits_file_keeps_it() {
    let own = json!({"name": "GIT_CONFIG_GLOBAL", "value": "/tmp/gitconfig"});
    for home in ["/builds/home", "/home/podman"] {
        let env = json!([own, {"name": "HOME", "value": home}]);
        let pod = corrected(&with_builds_at(job_with_env(env), "/builds"), "rootless");
        assert_eq!(git_config(&pod, "build"), Some("/tmp/gitconfig"));
        assert_eq!(git_config(&pod, "helper"), None);
        assert!(!pod.to_string().contains("podseal-git"), "{pod}");
    }
}

#[test]
fn a_container_that_names_gits_file_keeps_it() {
    let mut pod = job_with_home("/home/podman");
    let own = json!({"name": "GIT_CONFIG_GLOBAL", "value": "/etc/gitconfig"});
    container_mut(&mut pod, "helper")["env"] = json!([own]);
    let pod = corrected(&pod, "rootless");
    assert_eq!(git_config(&pod, "helper"), Some("/etc/gitconfig"));
}

/// The API server refuses such a pod, and must go on doing so. The fuzzer found that the
/// next correction saw another mount.
#[test]
fn a_mount_whose_volume_is_missing_does_not_get_podseals() {
    for mount_path in ["", "/", "/elsewhere"] {
        let mut pod = fixture("default-with-service");
        let mounts = container_mut(&mut pod, "build")["volumeMounts"].as_array_mut();
        let dangling = json!({"name": "podseal-home", "mountPath": mount_path});
        mounts.expect("mounts").push(dangling);
        let pod = corrected(&pod, "rootless");
        assert!(volume(&pod, "podseal-home").is_none(), "{pod}");
        assert_eq!(corrected(&pod, "rootless"), pod);
    }
}

#[test]
fn a_mount_inside_home_stays_and_home_gets_its_volume() {
    for inside in [
        "/my_custom_dir/.docker/config.json",
        "/my_custom_dir/cache/",
    ] {
        let mut pod = fixture("default-with-service");
        let mount = json!({"name": "logs", "mountPath": inside});
        for name in ["build", "helper"] {
            let mounts = container_mut(&mut pod, name)["volumeMounts"].as_array_mut();
            mounts.expect("mounts").push(mount.clone());
        }
        let pod = corrected(&pod, "rootless");
        assert!(is_mounted_at(&pod, OWN), "{pod}");
        assert_eq!(volume_at(container(&pod, "build"), inside), Some("logs"));
    }
}

#[test]
fn a_mounted_builds_dir_serves_as_home_without_a_second_volume() {
    let pod = corrected(&fixture("privileged-nonroot"), "privileged");
    assert_eq!(shared_home(&pod), OWN);
    assert_eq!(volume_at(container(&pod, "build"), OWN), Some("repo"));
    assert!(has_no_volume_of_ours(&pod), "{pod}");
}

#[test]
fn a_path_with_a_mount_path_as_a_mere_prefix_gets_a_volume() {
    let pod = corrected(&job_with_home("/builds2"), "rootless");
    assert!(is_mounted_at(&pod, "/builds2"), "{pod}");
}

#[test]
fn of_two_entries_for_home_the_last_applies() {
    let [good, bad] = ["/home/me", "/etc"].map(|path| json!({"name": "HOME", "value": path}));
    let pod = corrected(&job_with_env(json!([bad, good])), "rootless");
    assert_eq!(shared_home(&pod), "/home/me");
    assert!(is_mounted_at(&pod, "/home/me"), "{pod}");
}

#[test]
fn the_podman_images_home_is_not_changed_and_git_in_helper_gets_its_file_elsewhere() {
    for path in ["/home/podman", "/home/podman/", "/home/podman/.local"] {
        let before = job_with_home(path);
        let pod = corrected(&before, "rootless");
        let build = container(&pod, "build");
        assert_eq!(home(build), Some(path));
        assert_eq!(volume_at(build, path), None);
        assert_eq!(git_config(&pod, "build"), None);
        let file = git_config(&pod, "helper");
        assert_eq!(file, Some("/podseal-git/config"), "{path}");
        let helper = container(&pod, "helper");
        let name = volume_at(helper, "/podseal-git").expect("git has a volume");
        assert!(volume(&pod, name).is_some(), "{pod}");
    }
    let beside = corrected(&job_with_home("/home/podman2"), "rootless");
    assert!(is_mounted_at(&beside, "/home/podman2"), "{beside}");
}

#[test]
fn a_volume_name_in_use_is_not_used_again() {
    let mut pod = fixture("default-with-service");
    let taken = json!([{"name": "podseal-home", "emptyDir": {}}, {"name": "podseal-home-2", "emptyDir": {}}]);
    pod["spec"]["volumes"]
        .as_array_mut()
        .expect("a job pod has volumes")
        .extend(taken.as_array().expect("a list").iter().cloned());
    let pod = corrected(&pod, "rootless");
    assert!(is_mounted_at(&pod, OWN), "{pod}");
    assert_eq!(
        volume_at(container(&pod, "build"), OWN),
        Some("podseal-home-3")
    );
}

#[test]
fn a_helper_without_its_mount_gets_the_same_volume_again() {
    let mut pod = corrected(&fixture("default-with-service"), "rootless");
    let helper = container_mut(&mut pod, "helper");
    helper["volumeMounts"] = json!([{"name": "repo", "mountPath": "/builds"}]);
    let again = corrected(&pod, "rootless");
    assert!(is_mounted_at(&again, OWN), "{again}");
    assert_eq!(pod["spec"]["volumes"], again["spec"]["volumes"]);
}

#[test]
fn absent_null_and_empty_parents_are_created() {
    for parent in [None, Some(Value::Null), Some(json!([]))] {
        let mut pod = fixture("default-with-service");
        for name in ["build", "helper"] {
            let container = container_mut(&mut pod, name)
                .as_object_mut()
                .expect("an object");
            for key in ["env", "volumeMounts", "securityContext", "resources"] {
                container.remove(key);
                let object = ["securityContext", "resources"].contains(&key);
                let empty = parent.clone().map(|parent| {
                    if object && parent.is_array() {
                        json!({})
                    } else {
                        parent
                    }
                });
                container.extend(empty.map(|parent| (key.to_owned(), parent)));
            }
        }
        // Nothing uses the pod's volumes any more but the init container.
        let spec = pod["spec"].as_object_mut().expect("a pod has a spec");
        spec.remove("initContainers");
        spec.remove("volumes");
        spec.extend(parent.map(|parent| ("volumes".to_owned(), parent)));
        for profile in ["rootless", "userns", "openshift", "privileged"] {
            let pod = corrected(&pod, profile);
            assert_eq!(shared_home(&pod), OWN, "{profile}");
            assert!(is_mounted_at(&pod, OWN), "{profile}: {pod}");
        }
    }
}

#[test]
fn a_pod_without_helper_and_env_gets_home_in_build() {
    let pod = corrected(&fixture("native-steps"), "rootless");
    let build = container(&pod, "build");
    assert_eq!(home(build), Some(OWN));
    assert_eq!(volume_at(build, OWN), Some("podseal-home"));
    // The job may have a HOME that podseal does not see.
    assert_eq!(volume_at(build, "/podseal-git"), Some("podseal-git"));
    assert_eq!(corrected(&pod, "rootless"), pod);
}

#[test]
fn a_profile_without_the_rule_lets_any_home_pass() {
    for profile in ["root", "root-fuse", "none"] {
        let pod = corrected(&job_with_home("/etc"), profile);
        assert_eq!(home(container(&pod, "build")), Some("/etc"), "{profile}");
        assert!(has_no_volume_of_ours(&pod), "{profile}");
    }
}

#[test]
fn a_home_that_is_a_mount_may_contain_another_mount() {
    let mut pod = fixture("privileged-nonroot");
    for name in ["build", "helper"] {
        let mounts = container_mut(&mut pod, name)["volumeMounts"].as_array_mut();
        let mounts = mounts.expect("a job pod has mounts");
        mounts.push(json!({"name": "logs", "mountPath": "/my_custom_dir/cache"}));
    }
    let after = corrected(&pod, "privileged");
    assert_eq!(shared_home(&after), OWN);
    assert_eq!(volumes_for_home(&pod), volumes_for_home(&after));
}

#[test]
fn a_volume_with_podseals_name_but_another_source_is_not_mounted_in_build() {
    let mut pod = fixture("default-with-service");
    let volumes = pod["spec"]["volumes"]
        .as_array_mut()
        .expect("a job pod has volumes");
    volumes.push(json!({"name": "podseal-homework", "persistentVolumeClaim": {"claimName": "h"}}));
    let mount = json!({"name": "podseal-homework", "mountPath": OWN});
    container_mut(&mut pod, "helper")["volumeMounts"] = json!([mount]);
    let pod = corrected(&pod, "rootless");
    let build = volume_at(container(&pod, "build"), OWN).expect("build has a volume at its HOME");
    assert_eq!(
        volume(&pod, build),
        Some(&json!({"name": build, "emptyDir": {}}))
    );
}
