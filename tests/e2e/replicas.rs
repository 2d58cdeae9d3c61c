//! podseal's pods as the kubelet and the kernel see them.

use std::time::Duration;

use serde_json::Value;
use support::node::Node;
use support::wait::await_value;

/// Selects them, as the book does.
pub(crate) const SELECTOR: &str = "app.kubernetes.io/component=webhook";

/// A pod of podseal that is not being deleted.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) pod: String,
    pub(crate) ready: bool,
    pub(crate) restarts: u64,
    /// Its pod's address, once it has one.
    pub(crate) address: String,
    /// The runtime's id of the container, which also names its cgroup.
    container: String,
}

/// The replicas in this namespace.
pub(crate) fn replicas(node: &Node, namespace: &str) -> Vec<Replica> {
    let pods = node.get(&["pods", "--namespace", namespace, "--selector", SELECTOR]);
    let pods = pods["items"].as_array().expect("a list").iter();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(Replica::of)
        .collect()
}

/// Waits until all replicas are ready, and no pod is left of those before.
pub(crate) fn await_replicas(node: &Node, namespace: &str) -> Vec<Replica> {
    let pods = ["get", "pods", "--namespace", namespace, "--selector"];
    let list = || node.kubectl(&[&pods[..], &[SELECTOR, "--no-headers"]].concat());
    await_value(
        "only replicas that are ready",
        Duration::from_secs(60),
        || {
            let replicas = replicas(node, namespace);
            let all = list().lines().count();
            let settled = all == 2 && replicas.len() == 2 && replicas.iter().all(|r| r.ready);
            settled.then_some(replicas)
        },
        list,
    )
}

impl Replica {
    fn of(pod: &Value) -> Replica {
        let status = &pod["status"]["containerStatuses"][0];
        let container = status["containerID"].as_str().unwrap_or_default();
        Replica {
            pod: pod["metadata"]["name"].as_str().expect("a name").to_owned(),
            ready: status["ready"] == true,
            address: pod["status"]["podIP"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            restarts: status["restartCount"].as_u64().unwrap_or_default(),
            container: container.trim_start_matches("containerd://").to_owned(),
        }
    }

    /// Its process, as the node sees it.
    pub(crate) fn pid(&self, node: &Node) -> String {
        let processes = self.of_cgroup(node, &["cgroup.procs"]);
        processes.lines().next().expect("a process").to_owned()
    }

    /// Sends a signal to its process.
    pub(crate) fn signal(&self, node: &Node, signal: &str) {
        node.prints("kill", &["-s", signal, &self.pid(node)]);
    }

    /// The most memory that the kernel has counted against its limit.
    pub(crate) fn peak_memory(&self, node: &Node) -> u64 {
        self.memory(node, &["memory.max_usage_in_bytes", "memory.peak"])
    }

    /// That limit.
    pub(crate) fn memory_limit(&self, node: &Node) -> u64 {
        self.memory(node, &["memory.limit_in_bytes", "memory.max"])
    }

    /// A number of its cgroup, by its names in versions 1 and 2.
    fn memory(&self, node: &Node, names: &[&str]) -> u64 {
        let number = self.of_cgroup(node, names);
        number.trim().parse().expect("a number")
    }

    /// The files of these names in its cgroup.
    fn of_cgroup(&self, node: &Node, names: &[&str]) -> String {
        assert!(!self.container.is_empty(), "{self:?}");
        let folder = format!("*{}", self.container);
        let mut args = vec!["/sys/fs/cgroup", "-path"];
        let paths: Vec<_> = names
            .iter()
            .map(|name| format!("{folder}/{name}"))
            .collect();
        for (n, path) in paths.iter().enumerate() {
            if n > 0 {
                args.extend(["-o", "-path"]);
            }
            args.push(path);
        }
        let found = node.prints("find", &args);
        let file = found.lines().next().expect("a cgroup");
        node.prints("cat", &[file])
    }
}
