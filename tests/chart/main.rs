//! The chart's life in a real cluster: real helm, a real API server, and the
//! real podseal with its service account's token.

#[path = "../support/helm.rs"]
mod helm;
#[path = "../support/node/mod.rs"]
mod node;
#[path = "../support/mod.rs"]
mod support;

use node::Node;
use support::controlplane::{ADMIN, ControlPlane, free_port};

#[test]
fn the_default_values_serve_as_soon_as_helm_says_so() {
    let plane = ControlPlane::start_empty(&[]);
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: podseal, labels: \
                     {pod-security.kubernetes.io/enforce: restricted}}}";
    plane.apply(ADMIN, namespace);
    let node = Node::start(&plane, "podseal");
    let port = format!("service.port={}", free_port());
    let args = ["install", "podseal", helm::CHART, "-n", "podseal"];
    let args = [&args[..], &["--set", &port, "--wait", "--timeout", "60s"]].concat();
    helm::helm_prints(&plane, &args);
    assert_eq!(node.replicas().len(), 2);
    node.check();
}
