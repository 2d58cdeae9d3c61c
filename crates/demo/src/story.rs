//! The steps of the demo: namespaces, job pods, and the expected decisions.

use anyhow::Context;
use serde_json::{Value, json};

const PLAIN: &str = include_str!("../../../tests/fixtures/pods/default-with-service.json");
const PRIVILEGED: &str = include_str!("../../../tests/fixtures/pods/privileged-nonroot.json");
const PRIVILEGED_DIND: &str =
    include_str!("../../../tests/fixtures/pods/privileged-with-service.json");

/// The annotation for the user that creates job pods.
const RUNNER: &str = "podseal.io/runner";
/// The user that creates them in the demo.
pub(crate) const GITLAB_RUNNER: &str = "system:serviceaccount:gitlab:gitlab-runner";

/// The namespaces, and the values of their label `podseal.io/profile`.
const NAMESPACES: [(&str, Option<&str>); 6] = [
    ("ci-rootless", Some("rootless")),
    ("ci-userns", Some("userns")),
    ("ci-root-fuse", Some("root-fuse")),
    ("ci-privileged", Some("privileged")),
    ("ci-mistyped", Some("root-less")),
    ("ci-unlabelled", None),
];

/// A pod that is created in a namespace.
pub(crate) struct Step {
    pub(crate) title: &'static str,
    pub(crate) job: &'static str,
    pod: &'static str,
    /// A value for the job variable `HOME`.
    home: Option<&'static str>,
    pub(crate) namespace: &'static str,
    pub(crate) ends: End,
}

/// The expected decision.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Corrected { diff: bool },
    Denied,
    Untouched,
}

/// The steps.
pub(crate) const STORY: [Step; 8] = [
    Step {
        title: "A plain job gets what `podman build` needs",
        job: "A job with one service. The runner sets no user, no privilege and no HOME.",
        pod: PLAIN,
        home: None,
        namespace: "ci-rootless",
        ends: End::Corrected { diff: true },
    },
    Step {
        title: "A privileged job gets a user namespace instead",
        job: "The runner has privileged = true and uid 1000, as GitLab's page on Podman advises. \
              In a user namespace Podman builds without privilege.",
        pod: PRIVILEGED,
        home: None,
        namespace: "ci-userns",
        ends: End::Corrected { diff: false },
    },
    Step {
        title: "The plain job again, as root with a fuse device",
        job: "The pod of step 1 in another namespace, whose label selects another profile.",
        pod: PLAIN,
        home: None,
        namespace: "ci-root-fuse",
        ends: End::Corrected { diff: false },
    },
    Step {
        title: "Privilege remains only where it is used",
        job: "The runner has privileged = true, which marks every container, and the job has \
              docker:dind as a service. The job and its service keep it, because the namespace \
              names this runner; the runner's own containers do not require it.",
        pod: PRIVILEGED_DIND,
        home: None,
        namespace: "ci-privileged",
        ends: End::Corrected { diff: false },
    },
    Step {
        title: "A pod that violates the policy is denied",
        job: "The pod of step 4 in a namespace whose profile does not grant privilege. Without \
              privilege, docker:dind would fail with an obscure error, so podseal denies the pod \
              with a reason, and logs a record for auditors.",
        pod: PRIVILEGED_DIND,
        home: None,
        namespace: "ci-rootless",
        ends: End::Denied,
    },
    Step {
        title: "A job that cannot work is denied with the reason",
        job: "The pod of step 1 with the job variable HOME: /etc, where podseal mounts no volume.",
        pod: PLAIN,
        home: Some("/etc"),
        namespace: "ci-rootless",
        ends: End::Denied,
    },
    Step {
        title: "A mistyped label denies jobs",
        job: "The pod of step 1 in a namespace whose label names no profile.",
        pod: PLAIN,
        home: None,
        namespace: "ci-mistyped",
        ends: End::Denied,
    },
    Step {
        title: "Without the label, nothing changes",
        job: "The privileged pod of step 2 in a namespace without the label. In a cluster, the \
              API server would not call podseal for it.",
        pod: PRIVILEGED,
        home: None,
        namespace: "ci-unlabelled",
        ends: End::Untouched,
    },
];

impl Step {
    /// The pod, in the step's namespace and with its HOME.
    pub(crate) fn pod(&self) -> anyhow::Result<Value> {
        let mut pod: Value = serde_json::from_str(self.pod)?;
        pod["metadata"]["namespace"] = self.namespace.into();
        if let Some(home) = self.home {
            let containers = pod["spec"]["containers"].as_array_mut();
            let build = containers
                .into_iter()
                .flatten()
                .find(|container| container["name"] == "build");
            let env = build.and_then(|build| build["env"].as_array_mut());
            env.context("the fixture has no build container with env")?
                .push(json!({"name": "HOME", "value": home}));
        }
        Ok(pod)
    }
}

/// The namespaces in the format of `podseal serve --namespaces`.
pub(crate) fn namespaces() -> Value {
    let items = NAMESPACES.iter().map(|(name, profile)| {
        let labels = profile.map(|profile| json!({"podseal.io/profile": profile}));
        // A profile that grants more than the baseline requires a named runner.
        let runner = (*profile == Some("privileged")).then(|| json!({RUNNER: GITLAB_RUNNER}));
        let metadata = json!({"name": name, "labels": labels, "annotations": runner});
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    });
    json!({"apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>()})
}

/// The label of `namespace`, as text.
pub(crate) fn label(namespace: &str) -> String {
    match NAMESPACES.iter().find(|(name, _)| *name == namespace) {
        Some((_, Some(profile))) => format!("label podseal.io/profile: {profile}"),
        _ => "no podseal.io/profile label".to_owned(),
    }
}
