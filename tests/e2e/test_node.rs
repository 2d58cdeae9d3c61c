//! The node of the tests: what it runs, and that it leaves the machine as it was. That
//! sysctls, mounts, links and files are the same afterwards is checked by `.ci/e2e`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::node::{Node, image_versions};
use support::wait::await_value;

use crate::site::Site;

fn uid_of_cluster(node: &Node) -> String {
    let namespace = node.get(&["namespace", "kube-system"]);
    namespace["metadata"]["uid"].to_string()
}

/// The cgroups of a node, on whichever version this machine has.
fn cgroups(node: &Node) -> Vec<PathBuf> {
    let name = format!("podseal-node-{}", node.starter());
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).expect("cgroups are mounted");
    let hierarchies = hierarchies.map(|entry| entry.expect("an entry").path());
    std::iter::once(root.to_owned())
        .chain(hierarchies)
        .map(|hierarchy| hierarchy.join(&name))
        .filter(|cgroup| cgroup.exists())
        .collect()
}

#[test]
fn two_nodes_do_not_meet_and_one_that_is_killed_leaves_nothing_behind() {
    let site = Site::shared();
    let killed = Node::start(&["pause"]);
    assert_ne!(uid_of_cluster(&site.node), uid_of_cluster(&killed));
    let (folder, first_cgroups) = (killed.work(""), cgroups(&killed));
    assert!(!first_cgroups.is_empty(), "it has cgroups of its own");

    // Nothing of it gets to run its end.
    let pid = killed.starter().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-KILL", &pid])
        .status();
    assert!(kill.expect("kill can be started").success());
    let first = Path::new("/proc").join(killed.pid());
    await_value(
        "its first process is gone, and all others with it",
        Duration::from_secs(20),
        || (!first.exists()).then_some(()),
        || "it is still there".to_owned(),
    );
    drop(killed);

    let next = Node::start(&["pause"]);
    let last_cgroups = cgroups(&next);
    for cgroup in first_cgroups {
        assert!(
            !cgroup.exists(),
            "the next node removes {}",
            cgroup.display()
        );
    }
    assert!(
        !folder.exists(),
        "the next node removes {}",
        folder.display()
    );
    let next_folder = next.work("");
    drop(next);
    for cgroup in last_cgroups {
        assert!(!cgroup.exists(), "{} is left", cgroup.display());
    }
    assert!(!next_folder.exists(), "{} is left", next_folder.display());
}

/// The page says what ran, so that a reader can compare it with a cluster of theirs.
#[test]
fn readme_names_the_versions_that_ran() {
    let site = Site::shared();
    let node = site.node.get(&["node", "node"]);
    let info = &node["status"]["nodeInfo"];
    let kubelet = info["kubeletVersion"].as_str().expect("a version");
    let containerd = info["containerRuntimeVersion"].as_str().expect("a version");
    let runc = site.node.prints("runc", &["--version"]);
    let runc = runc
        .lines()
        .next()
        .and_then(|line| line.split(' ').next_back());
    let versions = image_versions();
    eprintln!(
        "kernel {}, {containerd}, runc {runc:?}\n{versions}",
        info["kernelVersion"]
    );

    let readme = include_str!("../../README.md");
    // Sid's versions change without a commit here, so those in README are not compared.
    let podman = versions
        .lines()
        .find_map(|line| line.strip_prefix("node.test/podman-stable:trixie podman "));
    for (program, version) in [
        ("kubelet", kubelet.strip_prefix('v')),
        ("containerd", containerd.strip_prefix("containerd://")),
        ("runc", runc),
        ("Podman", podman),
    ] {
        let expected = format!("{program} {}", version.expect("a version").trim());
        assert!(readme.contains(&expected), "README says {expected}");
    }
}
