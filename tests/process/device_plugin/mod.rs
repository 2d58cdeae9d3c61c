//! `podseal device-plugin` with a kubelet that answers by a script, over real sockets, and
//! a folder that stands in for the node's `/dev`.

use std::path::Path;
use std::process::Command;

use support::device_plugin::DevicePlugin;
use support::scripted_kubelet::ScriptedKubelet;
use tempfile::TempDir;

mod calls;
mod device;
mod life;
mod registering;

const HEALTHY: &str = "Healthy";
const UNHEALTHY: &str = "Unhealthy";

/// The folders of a node.
struct Folders {
    kubelet: TempDir,
    dev: TempDir,
}

impl Folders {
    /// Without a device.
    fn new() -> Folders {
        let folder = || tempfile::tempdir().expect("a folder");
        Folders {
            kubelet: folder(),
            dev: folder(),
        }
    }

    fn kubelet(&self) -> &Path {
        self.kubelet.path()
    }

    fn plugin(&self, arguments: &[&str]) -> DevicePlugin {
        self.plugin_with(|command| {
            command.args(arguments);
        })
    }

    fn plugin_with(&self, complete: impl FnOnce(&mut Command)) -> DevicePlugin {
        DevicePlugin::start(self.kubelet(), self.dev.path(), complete)
    }

    /// The names of the sockets that plugins have in the kubelet's folder.
    fn sockets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.kubelet()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name != "kubelet.sock").collect()
    }

    /// Makes `fuse` a character device of this number. Only root can, and not in every
    /// container.
    fn make_device(&self, major: &str, minor: &str) -> bool {
        let path = self.dev.path().join("fuse");
        let mut command = Command::new("mknod");
        command.arg(path).args(["c", major, minor]);
        support::run(command, "").status.success()
    }

    fn remove_device(&self) {
        std::fs::remove_file(self.dev.path().join("fuse")).expect("it is there");
    }
}

/// A registered plugin of a node without a device: it offers so many, all of them unhealthy.
fn running(count: usize) -> (Folders, ScriptedKubelet, DevicePlugin) {
    let folders = Folders::new();
    let kubelet = ScriptedKubelet::start(folders.kubelet());
    let plugin = folders.plugin(&[&format!("--count={count}")]);
    kubelet.await_devices(count, UNHEALTHY);
    (folders, kubelet, plugin)
}

/// A node that has the device; or none where this machine allows no device nodes.
fn with_device() -> Option<Folders> {
    let folders = Folders::new();
    let made = folders.make_device("10", "229");
    if !made {
        eprintln!(
            "SKIPPED: a device node needs root and the capability MKNOD: run the tests as root"
        );
    }
    made.then_some(folders)
}
