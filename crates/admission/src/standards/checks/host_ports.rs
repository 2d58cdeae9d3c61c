//! Host Ports (baseline): no container uses a port of the node.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::{Subject, Value};

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let Some(container) = at.container else {
        return;
    };
    for port in &container.ports {
        if port.host_port != 0 {
            at.forbid("ports.hostPort", Value::Port(port.host_port));
        }
    }
}
