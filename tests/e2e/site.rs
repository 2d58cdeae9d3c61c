//! Nodes with podseal on them: one that tests share, and one that a test has alone.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::node::Node;
use support::text;
use support::wait::await_value;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use support::runner::USER as RUNNER;

/// Tests at once, of all kinds. These keep two processors busy; with more, each takes
/// longer, and what is waited for may come too late.
const AT_ONCE: u32 = 3;
static ALL: Semaphore = Semaphore::const_new(AT_ONCE as usize);

static SHARED: LazyLock<Site> = LazyLock::new(Site::start);
static ALONE: LazyLock<Site> = LazyLock::new(Site::start);
/// The queue for the second.
static ALONE_AT_ONCE: Semaphore = Semaphore::const_new(1);

/// A test's right to run, until it is dropped: first in its own queue, if it has one, and
/// then in that of all.
pub(crate) struct Turn {
    _own: Option<SemaphorePermit<'static>>,
    _of_all: SemaphorePermit<'static>,
}

impl Turn {
    /// Waits for it.
    pub(crate) fn in_queue(own: Option<&'static Semaphore>) -> Turn {
        Turn::taking(own, 1)
    }

    /// Waits for it, and takes the places of so many tests in the queue of all.
    fn taking(own: Option<&'static Semaphore>, places: u32) -> Turn {
        let wait = |queue: &'static Semaphore, places| {
            let permit = support::block_on(queue.acquire_many(places));
            permit.expect("it is never closed")
        };
        Turn {
            _own: own.map(|own| wait(own, 1)),
            _of_all: wait(&ALL, places),
        }
    }
}

/// A node with podseal, as its chart installs it.
pub(crate) struct Site {
    pub(crate) node: Node,
}

/// A site, for as long as a test uses it.
pub(crate) struct Held {
    site: &'static Site,
    _turn: Turn,
}

impl Held {
    fn of(site: &'static LazyLock<Site>, turn: Turn) -> Held {
        Held { site, _turn: turn }
    }
}

impl std::ops::Deref for Held {
    type Target = Site;
    fn deref(&self) -> &Site {
        self.site
    }
}

impl Site {
    /// The site of tests that leave alone what others use.
    pub(crate) fn shared() -> Held {
        Held::of(&SHARED, Turn::in_queue(None))
    }

    /// The same, while no other test runs.
    pub(crate) fn undisturbed() -> Held {
        Held::of(&SHARED, Turn::taking(None, AT_ONCE))
    }

    /// The site of tests that stop what others use: one test at a time has it.
    pub(crate) fn alone() -> Held {
        Held::of(&ALONE, Turn::in_queue(Some(&ALONE_AT_ONCE)))
    }

    fn start() -> Site {
        let node = Node::start(&["pause", "podseal", "trixie", "sid"]);
        node.apply(support::runner::RBAC);
        node.start_component("registry");
        node.prints(
            "helm",
            &[
                "install",
                "podseal",
                "charts/podseal",
                "--namespace=podseal",
                "--create-namespace",
                "--set=serve.podEvents=true",
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

/// The site's release with other values, until this is dropped.
pub(crate) struct Upgraded<'s>(&'s Site);

impl Site {
    /// Its release with these values too.
    pub(crate) fn upgraded(&self, values: &[&str]) -> Upgraded<'_> {
        let upgraded = Upgraded(self);
        let upgrade = ["upgrade", "podseal", "charts/podseal"];
        let keeps = ["--namespace=podseal", "--reuse-values", "--wait"];
        self.node
            .prints("helm", &[&upgrade, &keeps, values].concat());
        upgraded
    }
}

impl Drop for Upgraded<'_> {
    fn drop(&mut self) {
        let rollback = ["rollback", "podseal", "--namespace=podseal", "--wait"];
        let output = self.0.node.run("helm", &rollback, "");
        assert!(
            output.status.success() || std::thread::panicking(),
            "{}",
            text(&output.stderr)
        );
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
        await_value(
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
