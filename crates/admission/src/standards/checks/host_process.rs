//! HostProcess (baseline): no Windows container that is a process of the node, set
//! by the pod or by a container.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let options = at.context().and_then(|c| c.windows_options.as_ref());
    if options.and_then(|options| options.host_process) == Some(true) {
        at.forbid_in_context("spec.securityContext.windowsOptions.hostProcess", "true");
    }
}
