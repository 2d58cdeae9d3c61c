//! Running as Non-root (restricted): every container has `runAsNonRoot: true`, its
//! own or the pod's, and neither sets it to false. Not required in a pod with its
//! own user namespace (since v1.35): its root is an unprivileged user on the node.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::{Subject, UNDEFINED};

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    if at.in_user_namespace() {
        return;
    }
    let own = at.context().and_then(|context| context.run_as_non_root);
    let pods = at.pod_context().and_then(|context| context.run_as_non_root);
    let value = match own {
        Some(true) => return,
        Some(false) => "false",
        // The pod may leave it to its containers.
        None if at.is_pod() || pods == Some(true) => return,
        None => UNDEFINED,
    };
    at.forbid_in_context("spec.securityContext.runAsNonRoot", value);
}
