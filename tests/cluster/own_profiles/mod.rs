//! Profiles of one's own, through a real API server: what `podseal profiles
//! --check` accepts never makes a pod that the API server rejects.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cases::profiles;
use serde_json::{Value, json};
use support::chart::manifests;
use support::controlplane::{ADMIN, ControlPlane, await_condition};
use support::podseal::{Podseal, SITE};

use crate::PLANE;

mod examples;
mod generated;
mod pod_fields;
mod reload;

/// A cluster whose podseal has the example profiles and generated ones.
struct Cluster {
    plane: &'static ControlPlane,
    podseal: Podseal,
    folder: tempfile::TempDir,
    generated: Vec<String>,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let generated = profiles::write(folder.path());
        let examples = std::fs::read_dir(examples::FOLDER).expect("the examples");
        for example in examples {
            let path = example.expect("an entry").path();
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, folder.path().join(name)).expect("it can be copied");
        }
        for (name, rules) in pod_fields::PROFILES {
            let text = format!("name: {name}\nsummary: for a test\nextends: rootless\n{rules}");
            let path = folder.path().join(format!("{name}.yaml"));
            std::fs::write(path, text).expect("the folder can be written");
        }
        let plane = &*PLANE;
        let podseal = Podseal::start(|command| {
            command
                .env(
                    "KUBECONFIG",
                    plane.kubeconfig(support::controlplane::PODSEAL),
                )
                .arg("--profiles")
                .arg(folder.path());
        });
        let is_ready = || podseal.status("/readyz").0 == 200;
        await_condition("podseal is ready", is_ready, String::new);
        let ours = podseal.configurations_for("own-profiles");
        plane.apply(ADMIN, &manifests(&ours));
        let cluster = Cluster {
            plane,
            podseal,
            folder,
            generated,
        };
        cluster.await_call();
        cluster
    }

    /// Waits until the API server calls podseal.
    fn await_call(&self) {
        let namespace = self.namespace(Some("no-such-profile"), "privileged");
        let pod = without_namespace(cases::fixture("default-with-service"));
        let is_asked = || self.plane.try_pod(&namespace, &pod).0 == 403;
        await_condition("the API server asks podseal", is_asked, String::new);
    }

    /// A new namespace of this profile and level, that names its runner; of no profile,
    /// where none is named.
    fn namespace(&self, profile: Option<&str>, level: &str) -> String {
        self.namespace_with(profile, level, &json!({}))
    }

    /// The same, with annotations.
    fn namespace_with(&self, profile: Option<&str>, level: &str, annotations: &Value) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("jobs-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut labels = match profile {
            Some(profile) => json!({"podseal.io/profile": profile, "podseal.io/level": level}),
            None => json!({}),
        };
        labels[SITE] = "own-profiles".into();
        let mut annotations = annotations.clone();
        annotations["podseal.io/runner"] = "system:serviceaccount:gitlab:gitlab-runner".into();
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
        });
        self.plane.apply(ADMIN, &namespace.to_string());
        name
    }
}

fn without_namespace(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    pod
}
