//! Running as Non-root user (restricted): neither the pod nor a container sets
//! `runAsUser: 0`. Allowed in a pod with its own user namespace (since v1.35).
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    let user = at.context().and_then(|context| context.run_as_user);
    if user == Some(0) && !at.in_user_namespace() {
        at.forbid_in_context("spec.securityContext.runAsUser", "0");
    }
}
