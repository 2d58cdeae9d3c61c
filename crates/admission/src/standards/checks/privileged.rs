//! Privileged Containers (baseline): none is.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let context = at.container_context();
    if context.and_then(|context| context.privileged) == Some(true) {
        at.forbid_in_context("spec.securityContext.privileged", "true");
    }
}
