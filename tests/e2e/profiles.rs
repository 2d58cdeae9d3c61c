//! What the docs promise of each built-in profile, with each image (docs/profiles.md).
//!
//! Images of Debian's sid change: a failed row names the versions that it ran.

use serde_json::Value;

use support::node::{ADDRESS, image_versions};

use crate::job::{BUILDAH, BUILDS, Job};
use crate::site::{RUNNER, Site};

/// How a job ends.
enum End {
    /// It builds and pushes, and its last line has this. Whether what it built runs, too.
    Builds(&'static str, Runs),
    /// It fails, and prints this.
    Fails(&'static str),
}
use End::{Builds, Fails};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    Yes,
    /// Parts of `/proc` are masked, and the kernel mounts none that shows more.
    No,
}

/// As uid 1000 in HOME's volume, by the kernel's overlay.
const IN_HOME: &str = "passed as uid 1000, HOME /my_custom_dir, overlay in /my_custom_dir/.local/share/containers/storage";
/// As root in the volume for its images.
const OF_ROOT: &str = "passed as uid 0, HOME /root, overlay in /var/lib/containers/storage";
/// A setuid program is not the owner of the user namespace that it maps, and needs the
/// capability SYS_ADMIN instead.
const SETUID: End = Fails("newuidmap: write to uid_map failed: Operation not permitted");
const NO_DEVICE: End = Fails("fuse: device not found, try 'modprobe fuse' first");
/// The same by a newer fuse-overlayfs.
const NO_DEVICE_EITHER: End = Fails("fuse: device /dev/fuse not found. Kernel module not loaded?");

/// What a job does with what it has built.
const PUSHES: &str = "
PROGRAM push --quiet --tls-verify=false --creds ci:registry-password tried REGISTRY:5000/$HOSTNAME:1
echo pushed";
const RUNS: &str = "
podman run --rm tried || echo 'does not run'";
/// Buildah runs no containers of their own: it runs a command in one that it builds.
const RUNS_BUILDAH: &str = "
buildah run $(buildah from tried) /bin/busybox echo 'built by a job' || echo 'does not run'";

fn check(image: &str, profile: &str, end: End) {
    let site = Site::shared();
    let (program, builds, runs) = match image.starts_with("buildah") {
        true => ("buildah", BUILDAH, RUNS_BUILDAH),
        false => ("podman", BUILDS, RUNS),
    };
    let pushes = PUSHES.replace("PROGRAM", program);
    let pushes = pushes.replace("REGISTRY", ADDRESS);
    let job = Job::new(image).script(&format!("{builds}{pushes}{runs}"));
    let ended = job.run(&site.namespace(profile));
    let versions = image_versions();
    let of_image: Vec<_> = versions
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("node.test/{image} ")))
        .collect();
    eprintln!(
        "{profile} × {image} ({}): {}",
        of_image.join(", "),
        ended.log.lines().last().unwrap_or_default()
    );
    if matches!(end, Fails(_)) && ended.passed {
        eprintln!("the property is gone: this version builds, and the row and the docs change");
    }
    match end {
        Builds(line, runs) => {
            ended.passes_with(line);
            ended.passes_with("pushed");
            let how = match runs {
                Runs::Yes => "built by a job",
                Runs::No => "mount `proc` to `proc`: Operation not permitted",
            };
            ended.passes_with(how);
        }
        Fails(error) => ended.fails_with(error),
    }
    assert_ne!(ended.pod["spec"]["nodeName"], Value::Null, "a node ran it");
}

/// One test for each profile and image.
macro_rules! matrix {
    ($($image_is:ident: $image:literal { $($name:ident: $profile:literal, $end:expr;)* })*) => {
        $(mod $image_is {
            use super::*;
            $(#[test]
            fn $name() {
                check($image, $profile, $end);
            })*
        })*
    };
}

matrix! {
    podman_that_ignores_the_images_storage_conf_as_rootless_user: "podman-stable:trixie" {
        builds_under_rootless: "rootless", Builds(IN_HOME, Runs::No);
        builds_and_runs_under_userns: "userns", Builds(IN_HOME, Runs::Yes);
        builds_and_runs_under_privileged: "privileged", Builds(IN_HOME, Runs::Yes);
        builds_under_openshift_on_a_cluster_without_sccs: "openshift", Builds(IN_HOME, Runs::No);
        builds_under_root: "root", Builds(OF_ROOT, Runs::No);
        fails_under_none_without_a_device: "none", NO_DEVICE;
    }
    podman_that_reads_the_images_storage_conf_as_rootless_user: "podman-stable:sid" {
        builds_under_rootless: "rootless", Builds(IN_HOME, Runs::No);
        builds_and_runs_under_userns: "userns", Builds(IN_HOME, Runs::Yes);
        builds_and_runs_under_privileged: "privileged", Builds(IN_HOME, Runs::Yes);
        builds_under_openshift_on_a_cluster_without_sccs: "openshift", Builds(IN_HOME, Runs::No);
        builds_under_root: "root", Builds(OF_ROOT, Runs::No);
        fails_under_none_without_a_device: "none", NO_DEVICE_EITHER;
    }
    podman_with_setuid_newuidmap: "podman-setuid:trixie" {
        fails_under_rootless: "rootless", SETUID;
        fails_under_userns: "userns", SETUID;
        fails_under_openshift: "openshift", SETUID;
        builds_and_runs_under_privileged: "privileged", Builds(IN_HOME, Runs::Yes);
        builds_under_root: "root", Builds(OF_ROOT, Runs::No);
        fails_under_none_without_a_device: "none", NO_DEVICE;
    }
    buildah: "buildah-stable:sid" {
        builds_and_runs_under_rootless: "rootless", Builds(IN_HOME, Runs::Yes);
        builds_and_runs_under_userns: "userns", Builds(IN_HOME, Runs::Yes);
        builds_and_runs_under_privileged: "privileged", Builds(IN_HOME, Runs::Yes);
        builds_and_runs_under_openshift_on_a_cluster_without_sccs: "openshift", Builds(IN_HOME, Runs::Yes);
        builds_and_runs_under_root: "root", Builds(OF_ROOT, Runs::Yes);
        fails_under_none_without_a_device: "none", NO_DEVICE_EITHER;
    }
}

#[test]
fn a_job_that_says_how_to_store_images_keeps_that() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let ended = Job::new("podman-stable:sid")
        .variable("STORAGE_DRIVER", "vfs")
        .run(&namespace);
    ended.passes_with("vfs in /my_custom_dir/.local/share/containers/storage");
    let script = format!(
        r#"printf '[storage]\ndriver = "vfs"\nrunroot = "/tmp/run"\ngraphroot = "/tmp/own"\n' >/tmp/own.conf
{BUILDS}"#
    );
    let ended = Job::new("podman-stable:sid")
        .variable("CONTAINERS_STORAGE_CONF", "/tmp/own.conf")
        .script(&script)
        .run(&namespace);
    ended.passes_with("vfs in /tmp/own");
}

#[test]
fn rootless_and_userns_build_at_the_level_restricted() {
    let site = Site::shared();
    for profile in ["rootless", "userns"] {
        let labels = [("profile", profile), ("level", "restricted")];
        let namespace = site.namespace_with(&labels, &[("runner", RUNNER)]);
        let ended = Job::new("podman-stable:trixie").run(&namespace);
        ended.passes_with("podman build passed as uid 1000");
        let build = &ended.pod["spec"]["containers"][0]["securityContext"]["capabilities"];
        assert_eq!(
            build["drop"],
            serde_json::json!(["NET_RAW", "ALL"]),
            "{build}"
        );
    }
}

#[test]
fn a_seccomp_profile_of_the_runtime_on_build_forbids_user_namespaces() {
    let site = Site::shared();
    let job = Job::new("podman-stable:trixie").edit_container("build", |build| {
        build["securityContext"]["seccompProfile"] = serde_json::json!({"type": "RuntimeDefault"});
    });
    let ended = job.run(&site.namespace("rootless"));
    ended.fails_with("cannot clone: Operation not permitted");
}
