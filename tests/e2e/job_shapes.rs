//! Jobs of other runners, and with other variables and services: each runs, or is
//! denied, as the docs say (docs/profiles.md, docs/namespace-settings.md).

use serde_json::json;
use support::text;

use crate::job::Job;
use crate::site::{RUNNER, Site};

const PODMAN: &str = "podman-stable:trixie";

#[test]
fn a_variable_home_is_where_git_and_podman_write() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let ended = Job::new(PODMAN)
        .variable("HOME", "/home/of/the/job")
        .run(&namespace);
    ended.passes_with("HOME /home/of/the/job, overlay in /home/of/the/job/.local/share/containers");
    assert!(
        ended.helper_log.contains("HOME /home/of/the/job"),
        "{ended}"
    );
}

/// The runner exports the job's variable in `helper`, whose image has no such directory.
#[test]
fn a_variable_home_of_podmans_image_is_where_podman_writes() {
    let site = Site::shared();
    let job = Job::new(PODMAN).variable("HOME", "/home/podman");
    let ended = job.run(&site.namespace("rootless"));
    ended.passes_with("HOME /home/podman, overlay in /home/podman/.local/share/containers");
    assert!(ended.helper_log.contains("HOME /home/podman"), "{ended}");
}

/// The directory is made by the clone, and git is configured before that.
#[test]
fn a_variable_home_that_is_the_checkout_is_where_podman_writes() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let home = "/builds/platform/images/playground";
    for job in [Job::new(PODMAN), Job::of("native-steps", PODMAN)] {
        let ended = job.variable("HOME", home).run(&namespace);
        ended.passes_with(&format!("HOME {home}, overlay in {home}/.local/share"));
    }
}

#[test]
fn a_variable_home_beside_the_checkout_is_where_podman_writes() {
    let site = Site::shared();
    let job = Job::new(PODMAN).variable("HOME", "/builds/home");
    let ended = job.run(&site.namespace("rootless"));
    ended.passes_with("HOME /builds/home, overlay in /builds/home/.local/share");
}

#[test]
fn a_variable_home_in_a_directory_that_the_checkout_lacks_fails_as_its_caution_says() {
    let site = Site::shared();
    let home = "/builds/platform/images/playground/home";
    let job = Job::new(PODMAN).variable("HOME", home);
    let ended = job.run(&site.namespace("rootless"));
    ended.fails_with("cannot resolve");
    ended.fails_with("no such file or directory");
}

#[test]
fn a_volume_in_home_is_seen_there() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    namespace.kubectl(&[
        "create",
        "secret",
        "generic",
        "login",
        "--from-literal=config.json={}",
    ]);
    let job = Job::new(PODMAN)
        .edit(|pod| {
            let volume = json!({"name": "login", "secret": {"secretName": "login"}});
            let volumes = pod["spec"]["volumes"].as_array_mut();
            volumes.expect("volumes").push(volume);
        })
        .edit_container("build", |build| {
            let mount = json!({"name": "login", "mountPath": "/my_custom_dir/.docker"});
            let mounts = build["volumeMounts"].as_array_mut();
            mounts.expect("mounts").push(mount);
        })
        .script("test -r $HOME/.docker/config.json\ntouch $HOME/written\ncp /bin/busybox .\npodman build --tag tried .\necho passed");
    job.run(&namespace).passes_with("passed");
}

#[test]
fn a_service_keeps_its_user() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let job = Job::of("default-with-service", PODMAN).edit(|pod| {
        let containers = pod["spec"]["containers"].as_array_mut();
        let service = containers.expect("containers").last_mut().expect("it");
        assert_eq!(service["name"], "svc-0");
        service["image"] = "node.test/helper:1".into();
        service["command"] = json!(["sh", "-c", "echo uid $(id -u), HOME $HOME"]);
    });
    let ended = job.run(&namespace);
    ended.passes_with("podman build passed as uid 1000");
    let log = namespace.kubectl(&["logs", &ended.name, "--container", "svc-0"]);
    assert_eq!(log.trim(), "uid 0, HOME /root");
}

#[test]
fn the_profile_replaces_a_user_that_the_author_chose() {
    let site = Site::shared();
    let job = Job::new(PODMAN).edit_container("build", |build| {
        build["securityContext"]["runAsUser"] = json!(1001)
    });
    let ended = job.run(&site.namespace("rootless"));
    ended.passes_with("podman build passed as uid 1000");
}

/// The kubelet puts setgid on the volumes of such a pod, and what is made in them has it,
/// too: so has the directory that Podman makes for the root of an image.
#[test]
fn setgid_of_the_volumes_of_fs_group_is_in_images_only_where_run_makes_a_directory_in_the_root() {
    let site = Site::shared();
    let script = r#"mkdir --parents made/inner && cp /bin/busybox made
printf 'FROM scratch\nCOPY made /copied\nRUN ["/copied/busybox", "mkdir", "/by-run", "/copied/by-run"]\nRUN ["/copied/busybox", "stat", "-c", "mode %%a of %%n", "/copied", "/copied/inner", "/copied/by-run", "/by-run"]\n' >Containerfile
test -g made
podman build --tag tried ."#;
    // docs/own-profiles.md has it.
    let remedy = r#"mkdir --parents "$HOME/.local/share/containers"
chmod g-s "$HOME/.local/share/containers""#;
    for (script, of_root) in [
        (script.to_owned(), "2755"),
        (format!("{remedy}\n{script}"), "755"),
    ] {
        let job = Job::new(PODMAN)
            .edit(|pod| pod["spec"]["securityContext"] = json!({"fsGroup": 1000}))
            .script(&script);
        let ended = job.run(&site.namespace("rootless"));
        for path in ["/copied", "/copied/inner", "/copied/by-run"] {
            ended.passes_with(&format!("mode 755 of {path}\n"));
        }
        ended.passes_with(&format!("mode {of_root} of /by-run\n"));
    }
}

#[test]
fn native_steps_build_without_a_helper() {
    let site = Site::shared();
    let ended = Job::of("native-steps", PODMAN).run(&site.namespace("rootless"));
    ended.passes_with("podman build passed as uid 1000, HOME /my_custom_dir");
}

/// `FF_DISABLE_UMASK_FOR_KUBERNETES_EXECUTOR`: `helper` gives the checkout to the user
/// that the collector runs as, which has to be that of `build`. It can as root alone.
#[test]
fn without_umask_the_checkout_belongs_to_build() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let script = "test -O Containerfile\ncp /bin/busybox .\npodman build --tag tried .\necho passed as $(id -u)";
    let job = Job::of("umask-collector", PODMAN).script(script);
    let ended = job.run(&namespace);
    ended.passes_with("passed as 1000");
    let collector = "init-build-uid-gid-collector";
    let log = namespace.kubectl(&["logs", &ended.name, "--container", collector]);
    assert_eq!(log.trim(), "collector: 1000:1000");
}

#[test]
fn a_runner_with_privileged_true_builds_unprivileged() {
    let site = Site::shared();
    for profile in ["rootless", "userns"] {
        let ended = Job::of("privileged-nonroot", PODMAN)
            // Its builds_dir is another, and the docs' HOME.
            .variable(
                "CI_PROJECT_DIR",
                "/my_custom_dir/platform/images/playground",
            )
            .script("grep CapBnd /proc/self/status\ncp /bin/busybox .\npodman build --tag tried .\necho passed")
            .run(&site.namespace(profile));
        ended.passes_with("passed");
        let bounding = ended
            .log
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"));
        let bounding = u64::from_str_radix(bounding.expect("a set").trim(), 16);
        let sys_admin = bounding.expect("a mask") >> 21 & 1;
        assert_eq!(sys_admin, 0, "{ended}");
    }
}

#[test]
fn a_privileged_service_is_denied_in_one_sentence() {
    let site = Site::shared();
    let denial = Job::of("privileged-with-service", PODMAN).create(&site.namespace("rootless"));
    let denial = denial.expect_err("it is denied");
    assert!(
        denial.contains("container \"docker\", securityContext.privileged: true is forbidden"),
        "{denial}"
    );
    assert_eq!(denial.trim().lines().count(), 1, "{denial}");
}

#[test]
fn a_privileged_pod_that_is_no_job_is_denied() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let args = ["run", "shell", "--image=node.test/helper:1", "--privileged"];
    let args = [&["--namespace", namespace.name.as_str()], args.as_slice()].concat();
    let output = site.node.run("kubectl", &args, "");
    let denial = text(&output.stderr);
    assert!(!output.status.success(), "{denial}");
    assert!(
        denial.contains("securityContext.privileged: true is forbidden by the control privileged"),
        "{denial}"
    );
}

#[test]
fn a_namespace_sets_home_and_user() {
    let site = Site::shared();
    let annotations = [
        ("runner", RUNNER),
        ("home", "/work/home"),
        ("run-as-user", "2000"),
    ];
    let namespace = site.namespace_with(&[("profile", "rootless")], &annotations);
    let job = Job::new(PODMAN).script("echo \"uid $(id -u), HOME $HOME\"\ntouch \"$HOME/written\"");
    let ended = job.run(&namespace);
    ended.passes_with("uid 2000, HOME /work/home");
    assert!(
        ended.helper_log.contains("uid 2000, HOME /work/home"),
        "{ended}"
    );
}
