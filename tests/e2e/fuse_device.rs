//! `root-fuse` with and without podseal's device plugin, as the chart installs it; and what
//! becomes of jobs when the plugin, the kubelet or the device goes away.

use std::time::Duration;

use serde_json::Value;
use support::node::Node;
use support::wait::await_value;

use crate::job::{BUILDAH, BUILDS, Ended, Job};
use crate::site::{Namespace, Site};

const NAMESPACE: &str = "fuse";
const SELECTOR: &str = "app.kubernetes.io/component=device-plugin";
/// As the chart's default.
const COUNT: &str = "64";
const PATIENCE: Duration = Duration::from_secs(120);

/// A job that builds, waits until `/builds/go` exists, and builds again.
const TWICE: &str = "\
cp /bin/busybox .
podman build --no-cache --tag first .
echo first build passed
until [ -e /builds/go ]; do sleep 0.2; done
podman build --no-cache --tag second .
echo second build passed";

/// The chart's device plugin on the node, until it is dropped.
pub(crate) struct DevicePlugin<'n>(&'n Node);

impl DevicePlugin<'_> {
    /// Has helm install it, as docs/nodes.md does.
    pub(crate) fn install(node: &Node) -> DevicePlugin<'_> {
        node.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}, \
             labels: {{pod-security.kubernetes.io/enforce: privileged}}}}}}"
        ));
        let plugin = DevicePlugin(node);
        let namespace = format!("devicePlugin.namespace={NAMESPACE}");
        plugin.upgrade(&["devicePlugin.enabled=true", &namespace]);
        plugin
    }

    fn upgrade(&self, values: &[&str]) {
        let mut args = vec![
            "upgrade",
            "podseal",
            "charts/podseal",
            "--namespace=podseal",
        ];
        args.extend(["--reset-then-reuse-values", "--wait", "--timeout=2m"]);
        args.extend(values.iter().flat_map(|value| ["--set", *value]));
        self.0.prints("helm", &args);
    }

    /// Its only pod.
    fn pod(&self) -> Value {
        let pods = self
            .0
            .get(&["pods", "--namespace", NAMESPACE, "--selector", SELECTOR]);
        let pods = pods["items"].as_array().expect("a list").iter();
        let mut pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods.next().cloned().unwrap_or_default()
    }

    /// Waits until it is ready, after so many restarts.
    fn await_ready(&self, restarts: u64) {
        await_value(
            "the plugin is ready",
            PATIENCE,
            || {
                let status = &self.pod()["status"]["containerStatuses"][0];
                let restarted = status["restartCount"].as_u64()? >= restarts;
                (status["ready"] == true && restarted).then_some(())
            },
            || format!("{:#}\n{}", self.pod()["status"], self.log()),
        );
    }

    fn log(&self) -> String {
        let pod = self.pod();
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        // It may just be starting, or gone.
        let output = self
            .0
            .run("kubectl", &["logs", "--namespace", NAMESPACE, name], "");
        support::text(&output.stdout) + &support::text(&output.stderr)
    }

    /// Waits for a line of its log.
    fn await_line(&self, part: &str) {
        let found = || self.log().contains(part).then_some(());
        await_value(part, PATIENCE, found, || self.log());
    }

    /// The process, as the node sees it.
    fn pid(&self) -> String {
        let pids = self
            .0
            .prints("pgrep", &["--full", "^/podseal device-plugin "]);
        let mut lines = pids.lines();
        let pid = lines.next().expect("it runs").to_owned();
        assert_eq!(lines.next(), None, "one process: {pids}");
        pid
    }

    /// Waits until the node offers so many devices.
    fn await_allocatable(&self, count: &str) {
        let is_so = || (allocatable(self.0) == count).then_some(());
        await_value(&format!("{count} devices"), PATIENCE, is_so, || {
            format!("{}\n{}", allocatable(self.0), self.log())
        });
    }
}

impl Drop for DevicePlugin<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the plugin's log:\n{}", self.log());
        }
        self.upgrade(&["devicePlugin.enabled=false"]);
    }
}

/// How many devices the node offers; nothing if it never did.
fn allocatable(node: &Node) -> String {
    let path = r"jsonpath={.status.allocatable.github\.com/fuse}";
    node.kubectl(&["get", "node", "node", "-o", path])
}

/// Waits until the node knows that the plugin of another test is gone.
pub(crate) fn await_no_plugin(node: &Node) {
    let is_gone = || {
        ["", "0"]
            .contains(&allocatable(node).as_str())
            .then_some(())
    };
    await_value("no device", PATIENCE, is_gone, || allocatable(node));
}

/// The pod of a job that waits for the device.
fn pending(namespace: &Namespace<'_>) -> String {
    let pod = Job::new("podman-stable:trixie").create(namespace);
    let pod = pod.expect("the pod is created");
    let message = namespace.await_event(&pod, "FailedScheduling");
    let expected = "Insufficient github.com/fuse";
    assert!(message.contains(expected), "{message}");
    pod
}

/// The pods of jobs that have built once and wait.
fn building(namespace: &Namespace<'_>, count: usize) -> Vec<String> {
    let job = Job::new("podman-stable:trixie").script(TWICE);
    let pods: Vec<_> = (0..count)
        .map(|_| job.create(namespace).expect("the pod is created"))
        .collect();
    for pod in &pods {
        let log = || {
            let args = [
                "--namespace",
                &namespace.name,
                "logs",
                pod,
                "--container=build",
            ];
            support::text(&namespace.site.node.run("kubectl", &args, "").stdout)
        };
        let has_built = || log().contains("first build passed").then_some(());
        await_value("a first build", PATIENCE, has_built, log);
    }
    pods
}

fn pass_the_second_build(namespace: &Namespace<'_>, pods: &[String]) {
    for pod in pods {
        namespace.kubectl(&[
            "exec",
            pod,
            "--container=build",
            "--",
            "touch",
            "/builds/go",
        ]);
    }
    for pod in pods {
        Ended::of(namespace, pod).passes_with("second build passed");
    }
}

/// Alone: whether the node has the device concerns every job under `root-fuse`.
#[test]
fn root_fuse_stays_pending_without_a_device_plugin_and_builds_with_podseals() {
    let site = Site::alone();
    let namespace = site.namespace("root-fuse");
    await_no_plugin(&site.node);
    let waiting = pending(&namespace);

    let plugin = DevicePlugin::install(&site.node);
    plugin.await_allocatable(COUNT);
    // The scheduler tries again by itself once the node has the resource.
    let ended = Ended::of(&namespace, &waiting);
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

#[test]
fn two_jobs_share_the_device_and_keep_it_while_the_plugin_is_killed_and_the_kubelet_restarts() {
    let site = Site::alone();
    let namespace = site.namespace("root-fuse");
    let plugin = DevicePlugin::install(&site.node);
    plugin.await_allocatable(COUNT);
    // Both have built, so both have opened the device, and neither has ended.
    let pods = building(&namespace, 2);

    site.node.prints("kill", &["-KILL", &plugin.pid()]);
    plugin.await_ready(1);
    plugin.await_allocatable(COUNT);
    plugin.await_line("removed the socket of a plugin that was killed");
    let ended = Job::new("podman-stable:trixie").run(&namespace);
    ended.passes_with("passed as uid 0");

    site.node.stop_component("kubelet", "TERM");
    site.node.start_component("kubelet");
    plugin.await_line("registering again");
    let args = [
        "wait",
        "node/node",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    site.node.kubectl(&args);
    plugin.await_ready(1);
    plugin.await_allocatable(COUNT);
    let ended = Job::new("podman-stable:trixie").run(&namespace);
    ended.passes_with("passed as uid 0");

    pass_the_second_build(&namespace, &pods);
}

#[test]
fn the_device_may_go_away_and_come_back_and_the_plugin_starts_without_it() {
    let site = Site::alone();
    let namespace = site.namespace("root-fuse");
    let plugin = DevicePlugin::install(&site.node);
    plugin.await_allocatable(COUNT);
    let pods = building(&namespace, 1);

    site.node.prints("rm", &["/dev/fuse"]);
    let put_back = PutBack(&site.node);
    plugin.await_allocatable("0");
    plugin.await_line("the node has no /dev/fuse; to fix this, run `modprobe fuse`");
    let waiting = pending(&namespace);
    // As after a reboot of a node that does not load the module.
    let args = [
        "delete",
        "pod",
        "--namespace",
        NAMESPACE,
        "--selector",
        SELECTOR,
    ];
    site.node.kubectl(&args);
    plugin.await_ready(0);

    drop(put_back);
    plugin.await_allocatable(COUNT);
    Ended::of(&namespace, &waiting).passes_with("passed as uid 0");
    pass_the_second_build(&namespace, &pods);
}

/// Makes the device when it is dropped, as the kernel does for its module.
struct PutBack<'n>(&'n Node);

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        let args = ["--mode=666", "/dev/fuse", "c", "10", "229"];
        self.0.prints("mknod", &args);
    }
}

/// Opens the node's device as a process of the container that `$1` runs in, or of none.
const OPEN: &str = r#"
set -e
if [ "$1" != none ]; then
  # Version 1 of cgroups has a hierarchy for devices, version 2 one for all.
  group=$(sed -n 's/^[0-9]*:devices:\|^0:://p' "/proc/$1/cgroup" | head -n 1)
  for root in /sys/fs/cgroup/devices /sys/fs/cgroup; do
    if [ -e "$root$group/cgroup.procs" ]; then echo $$ >"$root$group/cgroup.procs"; break; fi
  done
fi
exec 3<>/dev/fuse
echo opened
"#;

#[test]
fn the_plugin_has_no_privilege_and_cannot_open_what_it_sees() {
    let site = Site::alone();
    let node = &site.node;
    let plugin = DevicePlugin::install(node);
    let pid = plugin.pid();
    let status = node.prints("cat", &[&format!("/proc/{pid}/status")]);
    for line in [
        "Uid:\t0\t0\t0\t0",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(
            status.lines().any(|other| other == line),
            "{line}\n{status}"
        );
    }
    let resident = status.lines().find(|line| line.starts_with("VmRSS"));
    eprintln!("the plugin: {}", resident.expect("its memory"));

    let root = format!("/proc/{pid}/root");
    let seen = node.prints("ls", &[&format!("{root}/node/dev")]);
    assert!(seen.lines().any(|file| file == "fuse"), "{seen}");
    for hidden in ["pts", "shm", "hugepages", "mqueue"] {
        assert_ne!(
            node.prints("ls", &["-A", "/dev/pts"]),
            "",
            "the node has terminals"
        );
        let seen = node.prints("ls", &["-A", &format!("{root}/node/dev/{hidden}")]);
        assert_eq!(seen, "", "{hidden}");
    }
    let mounts = node.prints("cat", &[&format!("/proc/{pid}/mountinfo")]);
    let mut of_node = 0;
    for mount in mounts.lines() {
        let fields: Vec<_> = mount.split(' ').collect();
        let (path, options) = (fields[4], fields[5]);
        if path == "/" || path.starts_with("/node/dev") {
            assert!(options.split(',').any(|option| option == "ro"), "{mount}");
            of_node += usize::from(path != "/");
        }
    }
    // The folder, and what is mounted in it.
    assert!(of_node >= 3, "{mounts}");

    let open = |of: &str| node.run("bash", &["-c", OPEN, "open", of], "");
    let opened = open("none");
    assert_eq!(
        support::text(&opened.stdout),
        "opened\n",
        "the node itself can"
    );
    let refused = open(&pid);
    let error = support::text(&refused.stderr);
    assert!(error.contains("Operation not permitted"), "{error}");
}
