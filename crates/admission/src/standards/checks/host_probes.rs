//! Host Probes / Lifecycle Hooks (baseline, since v1.34): the kubelet calls no
//! host but the pod's own, or a pod could make it call others from the node's
//! network.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let Some(container) = at.container else {
        return;
    };
    let lifecycle = container.lifecycle.as_ref();
    for (handler, http_get, tcp_socket) in [
        (
            container.liveness_probe.as_deref(),
            "livenessProbe.httpGet.host",
            "livenessProbe.tcpSocket.host",
        ),
        (
            container.readiness_probe.as_deref(),
            "readinessProbe.httpGet.host",
            "readinessProbe.tcpSocket.host",
        ),
        (
            container.startup_probe.as_deref(),
            "startupProbe.httpGet.host",
            "startupProbe.tcpSocket.host",
        ),
        (
            lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()),
            "lifecycle.postStart.httpGet.host",
            "lifecycle.postStart.tcpSocket.host",
        ),
        (
            lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()),
            "lifecycle.preStop.httpGet.host",
            "lifecycle.preStop.tcpSocket.host",
        ),
    ] {
        let Some(handler) = handler else { continue };
        for (endpoint, field) in [
            (&handler.http_get, http_get),
            (&handler.tcp_socket, tcp_socket),
        ] {
            if let Some(endpoint) = endpoint
                && !endpoint.host.is_empty()
            {
                at.forbid(field, &*endpoint.host);
            }
        }
    }
}
