//! The node that all tests share, with podseal on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde_json::{Value, json};
use support::node::Node;

/// The service account that GitLab Runner creates job pods as.
pub(crate) const RUNNER: &str = "system:serviceaccount:gitlab:gitlab-runner";

const RBAC: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: runner}
rules:
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: runner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: runner}
subjects: [{kind: ServiceAccount, name: gitlab-runner, namespace: gitlab}]
"#;

static SITE: LazyLock<Site> = LazyLock::new(Site::start);
static DISTURBED: RwLock<()> = RwLock::new(());

/// A node with podseal, as its chart installs it.
pub(crate) struct Site {
    pub(crate) node: Node,
}

/// The site, with others.
pub(crate) struct Shared(#[allow(dead_code)] RwLockReadGuard<'static, ()>);

/// The site, alone.
pub(crate) struct Alone(#[allow(dead_code)] RwLockWriteGuard<'static, ()>);

impl std::ops::Deref for Shared {
    type Target = Site;
    fn deref(&self) -> &Site {
        &SITE
    }
}

impl std::ops::Deref for Alone {
    type Target = Site;
    fn deref(&self) -> &Site {
        &SITE
    }
}

impl Site {
    /// The site, for a test that leaves alone what others use.
    pub(crate) fn shared() -> Shared {
        Shared(
            DISTURBED
                .read()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        )
    }

    /// The site, for a test that stops what others use.
    pub(crate) fn alone() -> Alone {
        Alone(
            DISTURBED
                .write()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        )
    }

    fn start() -> Site {
        let node = Node::start(&["pause", "podseal", "trixie", "sid"]);
        node.apply(RBAC);
        node.start_component("registry");
        node.prints(
            "helm",
            &[
                "install",
                "podseal",
                "charts/podseal",
                "--namespace=podseal",
                "--create-namespace",
                "--wait",
                "--timeout=2m",
            ],
        );
        Site { node }
    }

    /// A new namespace with labels and annotations of ours, named without their prefix.
    pub(crate) fn namespace_with(
        &self,
        labels: &[(&str, &str)],
        annotations: &[(&str, &str)],
    ) -> Namespace<'_> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let suffix = labels.first().map_or("unlabelled", |(_, profile)| profile);
        let name = format!("ci-{number}-{suffix}");
        let ours = |pairs: &[(&str, &str)]| -> Value {
            pairs
                .iter()
                .map(|(key, value)| (format!("podseal.io/{key}"), Value::from(*value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": ours(labels), "annotations": ours(annotations)},
        });
        self.node.apply(&object.to_string());
        // The kubelet starts no pod before it is there.
        self.node.kubectl(&[
            "wait",
            "--for=create",
            "--timeout=30s",
            "--namespace",
            &name,
            "serviceaccount/default",
        ]);
        Namespace { site: self, name }
    }

    /// A new namespace for a profile, whose runner is named.
    pub(crate) fn namespace(&self, profile: &str) -> Namespace<'_> {
        self.namespace_with(&[("profile", profile)], &[("runner", RUNNER)])
    }

    /// A new namespace that podseal does not care about.
    pub(crate) fn unlabelled(&self) -> Namespace<'_> {
        self.namespace_with(&[], &[])
    }
}

/// A namespace, with all that is in it, until it is dropped.
pub(crate) struct Namespace<'s> {
    pub(crate) site: &'s Site,
    pub(crate) name: String,
}

impl Namespace<'_> {
    /// What kubectl prints for this namespace, where it succeeds.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.site
            .node
            .kubectl(&[&["--namespace", &self.name], args].concat())
    }

    /// An object of this namespace, or a list of them.
    pub(crate) fn get(&self, args: &[&str]) -> Value {
        self.site
            .node
            .get(&[&["--namespace", self.name.as_str()], args].concat())
    }

    /// Waits for an event on a pod with this reason, and returns its message.
    pub(crate) fn await_event(&self, pod: &str, reason: &str) -> String {
        let fields = format!("involvedObject.name={pod},reason={reason}");
        self.site.node.await_value(
            &format!("the event {reason} of {pod}"),
            Duration::from_secs(60),
            || {
                let events = self.get(&["events", "--field-selector", &fields]);
                Some(events["items"].get(0)?["message"].as_str()?.to_owned())
            },
            || self.kubectl(&["get", "events"]),
        )
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let args = ["delete", "namespace", "--wait=false", &self.name];
        self.site.node.run("kubectl", &args, "");
    }
}
