//! The device that comes and goes.

use std::process::Command;

use support::scripted_kubelet::ScriptedKubelet;
use support::{block_on, text};

use device_plugin_api::v1beta1::{AllocateRequest, ContainerAllocateRequest};

use super::{HEALTHY, UNHEALTHY, running, with_device};

fn one() -> AllocateRequest {
    let container = ContainerAllocateRequest {
        devices_ids: vec!["fuse-0".to_owned()],
    };
    AllocateRequest {
        container_requests: vec![container],
    }
}

#[test]
fn the_devices_are_healthy_exactly_while_the_node_has_the_device() {
    let Some(folders) = with_device() else {
        return;
    };
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let plugin = folders.plugin(&["--count=2"]);
    kubelet.await_devices(2, HEALTHY);
    assert_eq!(plugin.metric("device_healthy"), Some(1.0));
    for round in 0..2 {
        folders.remove_device();
        kubelet.await_devices(2, UNHEALTHY);
        plugin.await_metric("device_healthy", 0.0);
        let warning =
            plugin.await_message("the node has no /dev/fuse; to fix this, run `modprobe fuse`");
        assert_eq!(warning["level"], "WARN");
        // A node without the device does not hold up a rollout.
        let (code, page) = plugin.status("/readyz?verbose");
        assert!(
            code == 200 && page.contains("[!]the node has no /dev/fuse"),
            "{page}"
        );
        // Another device is not the one.
        assert!(folders.make_device("1", "3"));
        plugin.await_message("the node's /dev/fuse is not the character device 10:229");
        folders.remove_device();
        assert!(folders.make_device("10", "229"));
        kubelet.await_devices(2, HEALTHY);
        plugin.await_message("the node has /dev/fuse");
        // At first, and then away and back: from one problem to another there is no list.
        assert_eq!(kubelet.lists(), 3 + 2 * round);
    }
    assert_eq!(kubelet.registrations().len(), 1);
}

#[test]
fn a_container_gets_no_device_that_is_gone_and_the_kubelet_is_told_why() {
    let Some(folders) = with_device() else {
        return;
    };
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let plugin = folders.plugin(&[]);
    kubelet.await_devices(64, HEALTHY);
    block_on(kubelet.plugin().allocate(one())).expect("the device");
    folders.remove_device();
    // Whether or not the kubelet knows already.
    let refused = block_on(kubelet.plugin().allocate(one())).expect_err("a refusal");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(
        refused
            .message()
            .contains("run `modprobe fuse` on the node"),
        "{refused:?}"
    );
    assert_eq!(
        plugin.metric("allocations_total{outcome=\"allocated\"}"),
        Some(1.0)
    );
    assert_eq!(
        plugin.metric("allocations_total{outcome=\"refused\"}"),
        Some(1.0)
    );
}

#[test]
fn without_inotify_the_device_is_looked_at_all_the_same() {
    let Some(folders) = with_device() else {
        return;
    };
    // A node's limit, which its other programs have used up: the library has inotify fail.
    let library = tempfile::tempdir().expect("a folder");
    let source = library.path().join("inotify.c");
    let code = "#include <errno.h>\nint inotify_init1(int flags) { errno = EMFILE; return -1; }\n";
    std::fs::write(&source, code).expect("a file");
    let shared = library.path().join("inotify.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .arg(&shared)
        .arg(&source);
    let output = support::run(cc, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let plugin = folders.plugin_with(|command| {
        command.arg("--count=2").env("LD_PRELOAD", &shared);
    });
    plugin.await_message("cannot watch the folder; looking at it at intervals instead");
    kubelet.await_devices(2, HEALTHY);
    folders.remove_device();
    kubelet.await_devices(2, UNHEALTHY);
    drop(kubelet);
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    kubelet.await_devices(2, UNHEALTHY);
}

#[test]
fn a_plugin_on_a_node_without_the_device_starts_and_says_so() {
    let (_folders, _kubelet, plugin) = running(64);
    plugin.await_message("`modprobe fuse`");
    plugin.await_metric("registered", 1.0);
    assert_eq!(plugin.status("/readyz").0, 200);
}
