//! `podseal doctor` on a real node: what it says works, works, and it leaves nothing.

use serde_json::{Value, json};

use crate::site::{Namespace, Site};

impl Site {
    /// What the doctor reports of a namespace, and its exit code.
    pub(crate) fn doctor(&self, namespace: &str, arguments: &[&str]) -> (i32, Value) {
        let program = self.node.work("podseal-doctor");
        if !program.exists() {
            // Other tests on this node do the same.
            let id = std::thread::current().id();
            let copy = self.node.work(&format!("podseal-doctor-{id:?}"));
            std::fs::copy(support::program(), &copy).expect("podseal can be copied");
            std::fs::rename(&copy, &program).expect("it can be renamed");
        }
        let own = ["doctor", "-o", "json", "--namespace", namespace];
        let all = [&own[..], arguments].concat();
        let output = self.node.run("/work/podseal-doctor", &all, "");
        let (stdout, stderr) = (support::text(&output.stdout), support::text(&output.stderr));
        let report = serde_json::from_str(&stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
        (output.status.code().expect("it exits"), report)
    }

    /// The runner's service account, which the tests otherwise only impersonate.
    pub(crate) fn create_runner(&self) {
        let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gitlab"}},
            {"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": "gitlab-runner", "namespace": "gitlab"}},
        ]});
        self.node.apply(&objects.to_string());
    }
}

impl Namespace<'_> {
    pub(crate) fn tried(&self, image: &str) -> (i32, Value) {
        self.site.create_runner();
        let image = format!("node.test/{image}");
        self.site.doctor(&self.name, &["--yes", "--try", &image])
    }
}

/// What the report says of a profile on the one kind of node.
pub(crate) fn of<'r>(report: &'r Value, profile: &str) -> &'r Value {
    let profiles = report["nodes"]["profiles"].as_array().expect("profiles");
    let at = profiles.iter().position(|name| name == profile);
    let at = at.unwrap_or_else(|| panic!("{profile}: {report:#}"));
    &report["nodes"]["kinds"][0]["profiles"][at]
}

#[test]
fn what_it_says_works_is_what_builds_and_no_pod_is_left() {
    let site = Site::shared();
    let namespace = site.namespace("root");
    let (code, report) = namespace.tried("podman-stable:trixie");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["trials"][0]["outcome"]["is"], "built", "{report:#}");
    // tests/e2e/profiles.rs builds with each of these.
    for profile in ["root", "rootless", "privileged"] {
        assert_eq!(
            of(&report, profile)["works"],
            "yes",
            "{profile}: {report:#}"
        );
    }
    // No pod in a user namespace of its own was tried.
    let userns = of(&report, "userns");
    assert_eq!(userns["works"], "unknown", "{report:#}");
    let fuse = of(&report, "root-fuse");
    assert_eq!(fuse["reason"], "no device plugin offers github.com/fuse");
    let pods = namespace.get(&["pods"]);
    assert_eq!(pods["items"], json!([]), "{pods:#}");
}

#[test]
fn an_image_with_a_setuid_newuidmap_gets_another_answer_with_the_cause() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let (_, report) = namespace.tried("podman-setuid:trixie");
    let outcome = &report["trials"][0]["outcome"];
    assert_eq!(outcome["symptom"], "newuidmap", "{report:#}");
    for profile in ["rootless", "userns"] {
        assert_eq!(of(&report, profile)["works"], "no", "{profile}: {report:#}");
    }
    // A build that failed proves nothing of another profile.
    assert_eq!(of(&report, "root")["works"], "unknown", "{report:#}");
}

#[test]
fn an_image_that_no_node_can_pull_is_reported_and_its_pod_deleted() {
    let site = Site::shared();
    let namespace = site.namespace("root");
    let (_, report) = namespace.tried("missing:1");
    let outcome = &report["trials"][0]["outcome"];
    assert_eq!(outcome["is"], "notTried", "{report:#}");
    assert_eq!(of(&report, "root")["works"], "unknown", "{report:#}");
    let message = outcome["message"].as_str().expect("a message");
    assert!(message.contains("missing:1"), "{report:#}");
    let pods = namespace.get(&["pods"]);
    assert_eq!(pods["items"], json!([]), "{pods:#}");
}
