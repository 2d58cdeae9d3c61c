//! Sysctls (baseline): only those that stay within the pod.
//!
//! Names are compared as they are written: the API server treats slashes as dots,
//! the Standards do not.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

const SAFE: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    // since v1.27
    "net.ipv4.ip_local_reserved_ports",
    // since v1.29
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    // since v1.32
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    // since v1.37
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let Some(context) = at.pod_context().filter(|_| at.is_pod()) else {
        return;
    };
    for sysctl in &context.sysctls {
        if !SAFE.contains(&&*sysctl.name) {
            at.forbid_in_context("spec.securityContext.sysctls", &*sysctl.name);
        }
    }
}
