//! The three errors at the top of README: seen without podseal, and gone with it.

use serde_json::json;

use crate::job::Job;
use crate::site::Site;

/// A runner with `run_as_user = 1000`, of which the helper image knows nothing.
fn job_as_1000() -> Job {
    Job::new("podman-stable:trixie")
        .edit(|pod| pod["spec"]["securityContext"] = json!({"runAsUser": 1000}))
}

#[test]
fn could_not_lock_config_file_is_seen_without_podseal_and_gone_with_it() {
    let site = Site::shared();
    let without = job_as_1000().run(&site.unlabelled());
    without.fails_with("error: could not lock config file //.gitconfig: Permission denied");
    for profile in ["privileged", "rootless", "userns"] {
        let with = job_as_1000().run(&site.namespace(profile));
        with.passes_with("podman build passed as uid 1000");
    }
}

#[test]
fn newuidmap_write_to_uid_map_failed_is_seen_without_podseal_and_gone_with_it() {
    let site = Site::shared();
    let job = Job::new("podman-stable:trixie")
        .variable("HOME", "/builds")
        .edit_container("build", |build| {
            build["securityContext"]["runAsUser"] = json!(1000);
            build["securityContext"]["allowPrivilegeEscalation"] = json!(false);
        });
    let without = job.run(&site.unlabelled());
    without.fails_with("newuidmap: write to uid_map failed: Operation not permitted");
    let with = job.run(&site.namespace("rootless"));
    with.passes_with("podman build passed as uid 1000");
}

#[test]
fn fuse_device_not_found_is_seen_without_podseal_and_gone_with_it() {
    let site = Site::shared();
    let job = Job::new("podman-stable:trixie");
    let without = job.run(&site.unlabelled());
    without.fails_with("fuse: device not found, try 'modprobe fuse' first");
    let with = job.run(&site.namespace("rootless"));
    with.passes_with("podman build passed as uid 1000");
}
