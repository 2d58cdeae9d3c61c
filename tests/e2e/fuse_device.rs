//! `root-fuse` with and without a device plugin on the node.

use crate::job::Job;
use crate::site::Site;

/// Alone: whether the node has the device concerns every job under `root-fuse`.
#[test]
fn root_fuse_stays_pending_without_a_device_plugin_and_builds_with_one() {
    let site = Site::alone();
    let namespace = site.namespace("root-fuse");
    let pending = Job::new("podman-stable:trixie").create(&namespace);
    let pending = pending.expect("the pod is created");
    let message = namespace.await_event(&pending, "FailedScheduling");
    assert!(
        message.contains("Insufficient github.com/fuse"),
        "{message}"
    );

    site.node.start_component("deviceplugin");
    // The scheduler tries again by itself once the node has the resource.
    let ended = crate::job::Ended::of(&namespace, &pending);
    ended.passes_with("passed as uid 0, HOME /root, overlay in /var/lib/containers/storage");
    for image in ["podman-stable:sid", "podman-setuid:trixie"] {
        let ended = Job::new(image).run(&namespace);
        ended.passes_with("passed as uid 0, HOME /root, overlay in /var/lib/containers/storage");
    }
    site.node.stop_component("deviceplugin", "TERM");
}
