//! podseal behind a real API server: every claim is asserted on the pod as it
//! was stored, or on the message as its reader gets it.
//!
//! One podseal serves all tests; each test has namespaces of its own.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use support::chart::manifests;
use support::controlplane::{ADMIN, ControlPlane, await_condition};
use support::podseal::{Podseal, SITE};

use crate::PLANE;

mod audit;
mod bypass;
mod clashes;
mod generated;
mod levels;
mod namespaces;
mod outages;
mod profiles;
mod shapes;
mod status;
mod violations;

/// A cluster that podseal serves.
struct Cluster<'p> {
    plane: &'p ControlPlane,
    podseal: Podseal,
    site: &'static str,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&PLANE, "apiserver"));

impl Cluster<'_> {
    /// One whose podseal is called for the namespaces of `site`.
    fn start<'p>(plane: &'p ControlPlane, site: &'static str) -> Cluster<'p> {
        let podseal = Podseal::for_cluster(plane);
        let is_ready = || podseal.status("/readyz").0 == 200;
        await_condition("podseal is ready", is_ready, || {
            podseal.status("/readyz?verbose").1
        });
        plane.apply(ADMIN, &manifests(&podseal.configurations_for(site)));
        Cluster {
            plane,
            podseal,
            site,
        }
    }

    /// A new namespace, with the profile label where one is named.
    fn namespace(&self, profile: Option<&str>) -> String {
        let labels: Vec<_> = profile
            .map(|profile| ("profile", profile))
            .into_iter()
            .collect();
        self.namespace_with(&labels, &[])
    }

    /// A new namespace for a profile, without a level.
    fn unjudged(&self, profile: &str) -> String {
        self.namespace_with(&[("profile", profile), ("level", "privileged")], &[])
    }

    /// A new namespace with labels and annotations of ours, named without their
    /// prefix.
    fn namespace_with(&self, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let suffix = labels.first().map_or("unlabelled", |(_, profile)| profile);
        let name = format!("{}-{number}-{suffix}", self.site);
        let ours = |pairs: &[(&str, &str)]| -> Value {
            let ours = pairs
                .iter()
                .map(|(key, value)| (format!("podseal.io/{key}"), (*value).into()));
            Value::Object(ours.collect())
        };
        let mut all = ours(labels);
        all[SITE] = self.site.into();
        let namespace = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": all, "annotations": ours(annotations)},
        });
        let post = reqwest::Method::POST;
        let (code, answer) =
            self.plane
                .request(ADMIN, post, "/api/v1/namespaces", Some(&namespace));
        assert_eq!(code, 201, "{answer:#}");
        if !labels.is_empty() {
            self.await_calls_for(&name);
        }
        name
    }

    /// Waits until the API server calls podseal for `namespace`: its own view
    /// of webhooks and namespace labels is a cache too.
    fn await_calls_for(&self, namespace: &str) {
        let probe = self.probe();
        let name = probe["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        let is_called = || {
            self.plane.try_pod(namespace, &probe);
            self.podseal.has_logged(|event| {
                event["namespace"] == namespace && event["pod"] == name.as_str()
            })
        };
        await_condition("the API server calls podseal", is_called, String::new);
    }

    /// A job pod that is only ever tried.
    fn probe(&self) -> Value {
        let mut probe = cases::fixture("default-with-service");
        probe["metadata"]["name"] = "probe".into();
        let metadata = probe["metadata"].as_object_mut().expect("metadata");
        metadata.remove("namespace");
        probe
    }
}

/// A fixture, ready to be created in any namespace.
fn fixture(name: &str) -> Value {
    without_namespace(cases::fixture(name))
}

fn job_without_services() -> Value {
    without_namespace(cases::fixtures::job_without_services())
}

fn without_namespace(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    pod
}

/// Creates the fixture in a new namespace of `profile`, and reads it back.
fn stored(fixture_name: &str, profile: &str) -> cases::view::View {
    let namespace = CLUSTER.unjudged(profile);
    let pod = fixture(fixture_name);
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{fixture_name} in {profile}: {answer:#}");
    let name = pod["metadata"]["name"].as_str().expect("a name");
    cases::view::View(CLUSTER.plane.stored_pod(&namespace, name))
}

/// A pod that meets `restricted` in every container by itself.
fn complying_pod(name: &str) -> Value {
    let context = serde_json::json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "initContainers": [{"name": "setup", "image": "x", "securityContext": context}],
            "containers": [{"name": "app", "image": "x", "securityContext": context}],
        },
    })
}

/// Adds an ephemeral container to a pod.
fn ephemeral(user: &str, namespace: &str, pod: &str, container: &Value) -> (u16, Value) {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/ephemeralcontainers");
    // The API server reads only the ephemeral containers from this.
    let body = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod},
        "spec": {"containers": [], "ephemeralContainers": [container]},
    });
    CLUSTER
        .plane
        .request(user, reqwest::Method::PUT, &path, Some(&body))
}

/// The message with which `/validate` rejects.
fn rejection<'a>((code, status): &'a (u16, Value), what: &str) -> &'a str {
    let message = status["message"].as_str().unwrap_or_default();
    let ours = "admission webhook \"validate.podseal.io\" denied the request: ";
    assert_eq!(*code, 403, "{what} passes: {status:#}");
    message
        .strip_prefix(ours)
        .unwrap_or_else(|| panic!("{what}: {message}"))
}

/// Sets these labels of podseal's on the namespace, and waits until podseal applies
/// them: its view of them is a cache.
fn set_labels(cluster: &Cluster, namespace: &str, labels: &[(&str, &str)]) {
    let path = format!("/api/v1/namespaces/{namespace}");
    let request = |method, body| cluster.plane.request(ADMIN, method, &path, body);
    let (code, mut object) = request(reqwest::Method::GET, None);
    assert_eq!(code, 200, "{object:#}");
    for (key, value) in labels {
        object["metadata"]["labels"][format!("podseal.io/{key}")] = (*value).into();
    }
    let (code, answer) = request(reqwest::Method::PUT, Some(&object));
    assert_eq!(code, 200, "{answer:#}");
    let mut probe = complying_pod("relabelled");
    let is_known = || {
        let name = format!("relabelled-{}", answer["metadata"]["resourceVersion"]);
        probe["metadata"]["name"] = name.replace('"', "").into();
        cluster.plane.try_pod(namespace, &probe);
        cluster.podseal.has_logged(|event| {
            event["pod"] == probe["metadata"]["name"]
                && labels.iter().all(|(key, value)| event[*key] == **value)
        })
    };
    await_condition("podseal knows the labels", is_known, String::new);
}
