//! Host Probes / Lifecycle Hooks (baseline, since v1.34): the kubelet calls no
//! host but the pod's own, or a pod could make it call others from the node's
//! network.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use super::subject::Subject;

pub(super) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let Some(container) = at.container else {
        return;
    };
    let lifecycle = container.lifecycle.as_ref();
    for (handler, field) in [
        (container.liveness_probe.as_deref(), "livenessProbe"),
        (container.readiness_probe.as_deref(), "readinessProbe"),
        (container.startup_probe.as_deref(), "startupProbe"),
        (
            lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()),
            "lifecycle.postStart",
        ),
        (
            lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()),
            "lifecycle.preStop",
        ),
    ] {
        let Some(handler) = handler else { continue };
        for (endpoint, key) in [
            (&handler.http_get, "httpGet"),
            (&handler.tcp_socket, "tcpSocket"),
        ] {
            if let Some(endpoint) = endpoint
                && !endpoint.host.is_empty()
            {
                at.forbid(format!("{field}.{key}.host"), endpoint.host.clone());
            }
        }
    }
}
