//! The PodSecurity label that a namespace needs for each profile: the table of
//! `docs/comparison.md` is what the real API server answers.
//!
//! PodSecurity is in the API server and validates after all mutating webhooks, so
//! what it sees is the pod as podseal left it.

use std::sync::LazyLock;

use serde_json::{Value, json};
use support::chart::manifests;
use support::controlplane::{ADMIN, ControlPlane, await_condition};
use support::podseal::{Podseal, SITE};

use crate::PLANE;

const PAGE: &str = include_str!("../../docs/comparison.md");
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The labels of a column of the table.
const COLUMNS: [&[(&str, &str)]; 4] = [
    &[(ENFORCE, "privileged")],
    &[(ENFORCE, "baseline")],
    &[
        (ENFORCE, "baseline"),
        ("pod-security.kubernetes.io/enforce-version", "v1.34"),
    ],
    &[(ENFORCE, "restricted")],
];

struct Cluster {
    plane: &'static ControlPlane,
    podseal: Podseal,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

impl Cluster {
    fn start() -> Cluster {
        let plane = &*PLANE;
        let podseal = Podseal::for_cluster(plane);
        let is_ready = || podseal.status("/readyz").0 == 200;
        await_condition("podseal is ready", is_ready, String::new);
        let ours = podseal.configurations_for("labels");
        plane.apply(ADMIN, &manifests(&ours));
        Cluster { plane, podseal }
    }

    /// The namespace, once the API server calls podseal for its pods. Its
    /// labels are there from the start, so no view of them is ever an old one.
    /// It names its runner, as a profile that grants needs it.
    fn namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let site = [(SITE, "labels")];
        let labels: serde_json::Map<String, Value> = labels
            .iter()
            .chain(&site)
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        let runner = json!({"podseal.io/runner": "system:serviceaccount:gitlab:gitlab-runner"});
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "annotations": runner},
        });
        self.plane.apply(ADMIN, &namespace.to_string());
        let is_called = || {
            self.plane.try_pod(name, &cases::job("job"));
            self.podseal
                .has_logged(|event| event["namespace"] == name && event["webhook"] == "mutate")
        };
        await_condition("the API server calls podseal", is_called, String::new);
    }

    /// Whether PodSecurity admits a job pod there; nothing else may reject it.
    fn admits_jobs(&self, namespace: &str) -> bool {
        let (code, answer) = self.plane.try_pod(namespace, &cases::job("job"));
        let message = answer["message"].as_str().unwrap_or_default();
        match code {
            201 => true,
            403 if message.contains("violates PodSecurity") => false,
            _ => panic!("{namespace}: {code} {answer:#}"),
        }
    }
}

/// The rows below the page's heading on the label: a profile, and for each
/// column whether its jobs are admitted.
fn documented() -> Vec<(String, Vec<bool>)> {
    let (_, section) = PAGE
        .split_once("## The label `pod-security.kubernetes.io/enforce`")
        .expect("the section");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let profile = cells.next().expect("a profile").trim_matches('`');
        let admitted = cells.map(|cell| match cell {
            "✓" => true,
            "✗" => false,
            other => panic!("{row}: {other}"),
        });
        (profile.to_owned(), admitted.collect())
    })
    .collect()
}

#[test]
fn the_enforce_label_must_be_as_documented() {
    let documented = documented();
    let profiles: Vec<_> = documented
        .iter()
        .map(|(profile, _)| profile.as_str())
        .collect();
    assert_eq!(
        profiles,
        [
            "userns",
            "rootless",
            "root",
            "root-fuse",
            "openshift",
            "privileged",
            "none"
        ],
        "every profile has its row"
    );
    let mut seen = Vec::new();
    for profile in &profiles {
        let admitted = COLUMNS.iter().enumerate().map(|(column, labels)| {
            // Not the profile first: podseal is never called for
            // namespaces that begin with openshift-.
            let name = format!("with-{profile}-{column}");
            let ours = [("podseal.io/profile", *profile)];
            CLUSTER.namespace(&name, &[&ours[..], labels].concat());
            CLUSTER.admits_jobs(&name)
        });
        seen.push(((*profile).to_owned(), admitted.collect::<Vec<bool>>()));
    }
    assert_eq!(seen, documented, "the cluster, and docs/comparison.md");
}

#[test]
fn podseals_own_level_restricted_needs_the_label_at_baseline() {
    for profile in ["rootless", "userns"] {
        for (enforce, admitted) in [("baseline", true), ("restricted", false)] {
            let name = format!("restricted-{profile}-{enforce}");
            let labels = [
                ("podseal.io/profile", profile),
                ("podseal.io/level", "restricted"),
                (ENFORCE, enforce),
            ];
            CLUSTER.namespace(&name, &labels);
            let mut job = cases::job("job");
            // A service must meet the level by itself.
            let containers = job["spec"]["containers"].as_array_mut();
            containers.expect("containers").truncate(2);
            let (code, answer) = CLUSTER.plane.try_pod(&name, &job);
            assert_eq!(code == 201, admitted, "{name}: {answer:#}");
            if !admitted {
                let message = answer["message"].as_str().unwrap_or_default();
                assert!(message.contains("violates PodSecurity"), "{message}");
            }
        }
    }
}
