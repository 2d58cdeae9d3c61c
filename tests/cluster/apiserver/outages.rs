//! The API server gone and back, while podseal runs.

use cases::view::View;
use serde_json::json;
use support::controlplane::{ADMIN, ControlPlane, await_condition};

use crate::apiserver::{Cluster, fixture};

fn relabel(cluster: &Cluster, namespace: &str, profile: &str) {
    let patch = json!({"metadata": {"labels": {"podseal.io/profile": profile}}}).to_string();
    let args = [
        "patch",
        "namespace",
        namespace,
        "--type=merge",
        "-p",
        &patch,
    ];
    let output = cluster.plane.kubectl(ADMIN, &args, "");
    assert!(output.status.success(), "{}", support::text(&output.stderr));
}

#[test]
fn podseal_answers_right_after_the_api_server_was_restarted() {
    // A control plane of its own: that of the others keeps running.
    let plane = ControlPlane::start();
    let cluster = Cluster::start(&plane, "restarted");
    // It is ready before any namespace has a label, as after its installation.
    assert_eq!(
        cluster.podseal.metric("podseal_namespaces_cached"),
        Some(0.0)
    );
    let namespace = cluster.namespace(Some("rootless"));
    plane.stop_apiserver();
    cluster.podseal.await_event(|event| {
        event["message"]
            .as_str()
            .is_some_and(|m| m.contains("watch of namespaces failed"))
    });
    plane.start_apiserver();
    let uid = || {
        let (code, answer) = cluster
            .plane
            .try_pod(&namespace, &fixture("default-with-service"));
        (code == 201).then(|| View(answer).uid("build")).flatten()
    };
    await_condition(
        "jobs are corrected again",
        || uid() == Some(1000),
        String::new,
    );
    relabel(&cluster, &namespace, "root-fuse");
    await_condition("a new label is seen", || uid() == Some(0), String::new);
    let other = cluster.namespace(Some("userns"));
    let (code, answer) = cluster
        .plane
        .create_pod(&other, &fixture("default-with-service"));
    assert_eq!(code, 201, "{answer:#}");
    assert_eq!(answer["spec"]["hostUsers"], json!(false));
}
