//! `root-fuse` with and without a device plugin on the node.

use support::node::Node;

use crate::job::{BUILDAH, BUILDS, Ended, Job};
use crate::site::Site;

/// The tests' own device plugin, until it is dropped.
pub(crate) struct DevicePlugin<'n>(&'n Node);

impl DevicePlugin<'_> {
    /// Starts it on the node.
    pub(crate) fn start(node: &Node) -> DevicePlugin<'_> {
        node.start_component("deviceplugin");
        DevicePlugin(node)
    }
}

impl Drop for DevicePlugin<'_> {
    fn drop(&mut self) {
        let stop = ["stop", "deviceplugin", "TERM"];
        self.0.run("component", &stop, "");
    }
}

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

    let _plugin = DevicePlugin::start(&site.node);
    // The scheduler tries again by itself once the node has the resource.
    let ended = Ended::of(&namespace, &pending);
    ended.passes_with("passed as uid 0, HOME /root, overlay in /var/lib/containers/storage");
    let options = "podman info --format '{{.Store.GraphOptions}}'";
    for image in ["podman-stable:sid", "podman-setuid:trixie"] {
        let ended = Job::new(image)
            .script(&format!("{BUILDS}\n{options}"))
            .run(&namespace);
        ended.passes_with("passed as uid 0, HOME /root, overlay in /var/lib/containers/storage");
        ended.passes_with("/usr/bin/fuse-overlayfs");
    }
    let ended = Job::new("buildah-stable:sid")
        .script(BUILDAH)
        .run(&namespace);
    ended.passes_with("passed as uid 0, HOME /root, overlay in /var/lib/containers/storage");
}
