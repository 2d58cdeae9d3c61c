//! What the docs promise of each built-in profile, with each image (docs/profiles.md).
//!
//! Images of Debian's sid change: a failed row names the versions that it ran.

use serde_json::Value;

use support::node::image_versions;

use crate::job::{BUILDAH, BUILDS, Job};
use crate::site::{RUNNER, Site};

/// How a job ends.
enum End {
    /// It builds, and its last line has this.
    Builds(&'static str),
    /// It fails, and prints this.
    Fails(&'static str),
}
use End::{Builds, Fails};

/// As uid 1000 in HOME's volume, by the kernel's overlay.
const IN_HOME: End = Builds(
    "passed as uid 1000, HOME /my_custom_dir, overlay in /my_custom_dir/.local/share/containers/storage",
);
/// Podman built on containers/storage 1.63 or later reads the image's storage.conf for
/// rootless users as well, whose store is then where only root can write.
const STORE_OF_ROOT: End = Fails("mkdir /var/lib/containers/storage: permission denied");
/// Buildah's own image has a storage.conf for its user, in the HOME that podseal replaces.
const RUN_OF_ROOT: End = Fails("mkdir /run/containers: permission denied");
/// A setuid program is not the owner of the user namespace that it maps, and needs the
/// capability SYS_ADMIN instead.
const SETUID: End = Fails("newuidmap: write to uid_map failed: Operation not permitted");
const NO_DEVICE: End = Fails("fuse: device not found, try 'modprobe fuse' first");
/// The same by a newer fuse-overlayfs.
const NO_DEVICE_EITHER: End = Fails("fuse: device /dev/fuse not found. Kernel module not loaded?");

fn check(image: &str, profile: &str, end: End) {
    let site = Site::shared();
    let script = match image.starts_with("buildah") {
        true => BUILDAH,
        false => BUILDS,
    };
    let job = Job::new(image).script(script);
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
        Builds(line) => ended.passes_with(line),
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
        builds_under_rootless: "rootless", IN_HOME;
        builds_under_userns: "userns", IN_HOME;
        builds_under_privileged: "privileged", IN_HOME;
        builds_under_openshift_on_a_cluster_without_sccs: "openshift", IN_HOME;
        fails_under_none_without_a_device: "none", NO_DEVICE;
    }
    podman_that_reads_the_images_storage_conf_as_rootless_user: "podman-stable:sid" {
        fails_under_rootless_by_the_store_of_root: "rootless", STORE_OF_ROOT;
        fails_under_userns_by_the_store_of_root: "userns", STORE_OF_ROOT;
        fails_under_privileged_by_the_store_of_root: "privileged", STORE_OF_ROOT;
        fails_under_openshift_by_the_store_of_root: "openshift", STORE_OF_ROOT;
        fails_under_none_without_a_device: "none", NO_DEVICE_EITHER;
    }
    podman_with_setuid_newuidmap: "podman-setuid:trixie" {
        fails_under_rootless: "rootless", SETUID;
        fails_under_userns: "userns", SETUID;
        fails_under_openshift: "openshift", SETUID;
        builds_under_privileged: "privileged", IN_HOME;
        fails_under_none_without_a_device: "none", NO_DEVICE;
    }
    buildah: "buildah-stable:sid" {
        fails_under_rootless_by_the_folder_of_root: "rootless", RUN_OF_ROOT;
        fails_under_userns_by_the_folder_of_root: "userns", RUN_OF_ROOT;
        fails_under_privileged_by_the_folder_of_root: "privileged", RUN_OF_ROOT;
        fails_under_openshift_by_the_folder_of_root: "openshift", RUN_OF_ROOT;
        fails_under_none_without_a_device: "none", NO_DEVICE_EITHER;
    }
}

/// docs/troubleshooting.md: a storage.conf that names no folder.
const TWO_LINES: [&str; 2] = [
    r#"printf '[storage]\ndriver = "overlay"\n' > "$HOME/storage.conf""#,
    r#"export CONTAINERS_STORAGE_CONF="$HOME/storage.conf""#,
];

#[test]
fn two_lines_in_the_job_let_podman_and_buildah_ignore_the_images_storage_conf() {
    let page = include_str!("../../docs/troubleshooting.md");
    let site = Site::shared();
    for line in TWO_LINES {
        assert!(page.contains(line), "the page has {line}");
    }
    for (image, builds) in [
        ("podman-stable:sid", BUILDS),
        ("buildah-stable:sid", BUILDAH),
    ] {
        let script = format!("{}\n{builds}", TWO_LINES.join("\n"));
        for profile in ["rootless", "userns", "privileged"] {
            let job = Job::new(image).script(&script);
            let ended = job.run(&site.namespace(profile));
            ended
                .passes_with("passed as uid 1000, HOME /my_custom_dir, overlay in /my_custom_dir/");
        }
    }
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
