//! How the plugin starts and ends.

use std::process::Command;

use support::scripted_kubelet::ScriptedKubelet;
use support::text;
use support::wait::await_condition;

use super::{Folders, UNHEALTHY, running};

#[test]
fn a_signal_ends_it_with_code_0_and_without_its_socket() {
    for signal in ["TERM", "INT"] {
        let folders = Folders::new();
        let kubelet = ScriptedKubelet::start(folders.kubelet());
        let mut plugin = folders.plugin(&[]);
        kubelet.await_devices(64, UNHEALTHY);
        plugin.process.signal(signal);
        assert_eq!(plugin.process.end(), Some(0));
        assert_eq!(folders.sockets(), [""; 0]);
        await_condition("the end", || kubelet.devices().is_none(), String::new);
        plugin.await_message(&format!("received SIG{signal}; stopped"));
    }
}

#[test]
fn a_signal_ends_it_while_the_kubelet_does_not_answer() {
    let folders = Folders::new();
    // A socket that nobody accepts connections of.
    let path = folders.kubelet().join("kubelet.sock");
    let _silent = std::os::unix::net::UnixListener::bind(path).expect("a socket");
    let mut plugin = folders.plugin(&[]);
    await_condition("a socket", || folders.sockets().len() == 1, String::new);
    plugin.process.signal("TERM");
    assert_eq!(plugin.process.end(), Some(0));
    assert_eq!(folders.sockets(), [""; 0]);
}

#[test]
fn the_socket_of_a_killed_plugin_is_removed_by_the_next() {
    let folders = Folders::new();
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let mut killed = folders.plugin(&[]);
    kubelet.await_registrations(1);
    killed.process.signal("KILL");
    killed.process.end();
    assert_eq!(folders.sockets().len(), 1);
    let plugin = folders.plugin(&[]);
    kubelet.await_registrations(2);
    kubelet.await_devices(64, UNHEALTHY);
    let endpoint = kubelet.registrations().remove(1).endpoint;
    assert_eq!(folders.sockets(), [endpoint]);
    plugin.await_message("removed the socket of a plugin that was killed");
}

#[test]
fn a_kubelet_folder_that_is_gone_ends_it_since_only_a_new_container_sees_the_new_one() {
    let (folders, _kubelet, mut plugin) = running(64);
    std::fs::remove_dir_all(folders.kubelet()).expect("a folder");
    assert_eq!(plugin.process.end(), Some(2));
}

#[test]
fn what_cannot_be_used_is_an_error_that_says_what_to_do() {
    let folders = Folders::new();
    let kubelet = folders.kubelet().display().to_string();
    for (arguments, expected) in [
        (
            &["--resource=fuse"][..],
            "must be an extended resource, such as github.com/fuse",
        ),
        (
            &["--resource=kubernetes.io/fuse"],
            "a domain outside kubernetes.io",
        ),
        (&["--count=0"], "must be a number from 1 to 10000"),
        (&["--count=10001"], "must be a number from 1 to 10000"),
        (
            &["--status-listen=localhost:8080"],
            "must be an IP address and a port",
        ),
        (
            &["--kubelet-dir=/nowhere"],
            "cannot use --kubelet-dir /nowhere: No such file or directory (os error 2); it must be the folder \
             device-plugins of the kubelet's --root-dir",
        ),
        (
            &["--node-dev=/nowhere"],
            "cannot read --node-dev /nowhere: No such file or directory (os error 2); set it to where",
        ),
    ] {
        let mut command = Command::new(support::program());
        command.args(["device-plugin", "--status-listen=127.0.0.1:0"]);
        if !arguments[0].starts_with("--kubelet-dir") {
            command.arg("--kubelet-dir").arg(&kubelet);
        }
        if arguments[0].starts_with("--status-listen") {
            command = Command::new(support::program());
            command.arg("device-plugin");
        }
        command.args(arguments);
        let output = support::run(command, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(expected), "{error}");
    }
}
