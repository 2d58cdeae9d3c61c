//! Privilege Escalation (restricted): every container has
//! `allowPrivilegeEscalation: false`, unless the pod's `os` is Windows.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::{Subject, UNDEFINED};

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    if at.is_pod() || at.is_windows() {
        return;
    }
    let allowed = at
        .container_context()
        .and_then(|context| context.allow_privilege_escalation);
    let value = match allowed {
        Some(false) => return,
        Some(true) => "true",
        None => UNDEFINED,
    };
    at.forbid_in_context("spec.securityContext.allowPrivilegeEscalation", value);
}
