//! Host Namespaces (baseline): the node's network, processes and IPC are not
//! shared.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    if !at.is_pod() {
        return;
    }
    let spec = &at.pod.spec;
    for (shared, field) in [
        (spec.host_network, "spec.hostNetwork"),
        (spec.host_pid, "spec.hostPID"),
        (spec.host_ipc, "spec.hostIPC"),
    ] {
        if shared == Some(true) {
            at.forbid(field, "true");
        }
    }
}
