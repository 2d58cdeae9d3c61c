//! A fleet as it is, through a real API server: every kind of runner with every
//! profile, namespaces that change a value, and namespaces without labels.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use admission::lint::files::{ProfileFile, read};
use admission::profile::Profiles;
use serde_json::{Value, json};
use support::chart::manifests;
use support::controlplane::{ADMIN, ControlPlane, PODSEAL, await_condition};
use support::podseal::{Podseal, SITE};

use crate::PLANE;

mod pairs;
mod rules;
mod settings;
mod shapes;
mod table;

/// The kinds of jobs there are.
const SHAPES: [&str; 10] = [
    "default-with-service",
    "privileged-nonroot",
    "privileged-with-service",
    "root-fuse",
    "legacy-exec",
    "umask-collector",
    "honor-entrypoint",
    "native-steps",
    "suspendable",
    "windows",
];

/// The example profiles, in addition to the built-in ones.
const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/profiles");

/// All of them.
fn profiles() -> &'static Profiles {
    static ALL: LazyLock<Profiles> = LazyLock::new(|| {
        let paths = std::fs::read_dir(PROFILES).expect("the folder");
        let paths = paths.map(|entry| entry.expect("an entry").path());
        let files = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
        let files = files.map(|path| ProfileFile {
            name: path.display().to_string(),
            text: std::fs::read_to_string(&path).expect("a text"),
        });
        let read = read(&files.collect::<Vec<_>>());
        read.expect("the examples are right").0
    });
    &ALL
}

/// A cluster that podseal serves, with the examples and those of [`pairs`].
struct Cluster {
    plane: &'static ControlPlane,
    podseal: Podseal,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

impl Cluster {
    fn start() -> Cluster {
        let plane = &*PLANE;
        let folder = plane.folder().join("fleet");
        std::fs::create_dir(&folder).expect("the folder can be written");
        let namespace_rules = folder.join("namespace-rules.yaml");
        std::fs::write(&namespace_rules, rules::RULES).expect("the folder can be written");
        let folder = folder.join("profiles");
        pairs::write(&folder);
        let podseal = Podseal::start(|command| {
            command.env("KUBECONFIG", plane.kubeconfig(PODSEAL));
            command.arg("--profiles").arg(folder);
            command.arg("--namespace-rules").arg(namespace_rules);
            command.args(["--namespace", "podseal"]);
        });
        let is_ready = || podseal.status("/readyz").0 == 200;
        await_condition("podseal is ready", is_ready, || {
            podseal.status("/readyz?verbose").1
        });
        plane.apply(ADMIN, &manifests(&podseal.configurations_for("fleet")));
        plane.apply(ADMIN, &rules::registered(&podseal));
        let cluster = Cluster { plane, podseal };
        cluster.await_calls();
        cluster
    }

    /// Waits until the API server calls by every entry: it comes to know each in
    /// its own time.
    fn await_calls(&self) {
        for (number, labels) in [
            json!({"podseal.io/profile": "none"}),
            json!({}),
            json!({"bait": "yes"}),
        ]
        .into_iter()
        .enumerate()
        {
            let namespace = self.namespace(&self.free_name("asked"), &labels, &json!({}));
            let name = format!("probe-{number}");
            let probe = job("default-with-service", &name);
            let is_asked = || {
                self.plane.try_pod(&namespace, &probe);
                ["mutate", "validate"].into_iter().all(|webhook| {
                    let logged = |event: &Value| {
                        event["webhook"] == webhook && event["pod"] == name.as_str()
                    };
                    self.podseal.has_logged(logged)
                })
            };
            await_condition("the API server asks podseal", is_asked, || {
                labels.to_string()
            });
        }
    }

    /// Creates `pod` as the runner does.
    fn create_pod(&self, namespace: &str, pod: &Value) -> (u16, Value) {
        answered(|| self.plane.create_pod(namespace, pod))
    }

    /// The result of a dry run that creates `pod`.
    fn try_pod(&self, namespace: &str, pod: &Value) -> (u16, Value) {
        answered(|| self.plane.try_pod(namespace, pod))
    }

    /// A new namespace of this profile and level, that names its runner.
    fn namespace_of(&self, profile: &str, level: &str) -> String {
        let labels = json!({"podseal.io/profile": profile, "podseal.io/level": level});
        let runner = json!({"podseal.io/runner": "system:serviceaccount:gitlab:gitlab-runner"});
        self.namespace(&self.free_name("ci"), &labels, &runner)
    }

    /// A new namespace.
    fn namespace(&self, name: &str, labels: &Value, annotations: &Value) -> String {
        let mut labels = labels.clone();
        labels[SITE] = "fleet".into();
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
        });
        let post = reqwest::Method::POST;
        let (code, answer) =
            self.plane
                .request(ADMIN, post, "/api/v1/namespaces", Some(&namespace));
        assert_eq!(code, 201, "{answer:#}");
        name.to_owned()
    }

    /// A name that no namespace has yet.
    fn free_name(&self, prefix: &str) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The job of this kind, as a pod called `name`.
fn job(shape: &str, name: &str) -> Value {
    let mut pod = cases::fixture(shape);
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    metadata.insert("name".to_owned(), name.into());
    pod
}

/// The answer, as client-go gets it: it retries if the response requires it. The
/// tests make more new namespaces at once than podseal looks up at a time.
fn answered(ask: impl Fn() -> (u16, Value)) -> (u16, Value) {
    loop {
        let (code, answer) = ask();
        if code != 503 || answer["details"]["retryAfterSeconds"].is_null() {
            return (code, answer);
        }
    }
}
