//! Seccomp. Baseline: no profile but the runtime's default or one of the node's
//! own, on the pod or a container. Restricted: and every container has one, its own
//! or the pod's, unless the pod's `os` is Windows.
//!
//! The annotations from before the field have no effect since policy version v1.19.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::pod::field::Confinement;
use crate::pod::security_context::SecurityContext;
use crate::standards::subject::{Subject, UNDEFINED};

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    if let Some(profile) = profile(at.context())
        && !is_allowed(profile)
    {
        at.forbid_in_context("spec.securityContext.seccompProfile.type", &*profile.type_);
    }
}

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    if at.is_windows() {
        return;
    }
    baseline(at);
    // A container that inherits a forbidden profile is reported in addition to
    // the pod: without the pod's profile, it would have none.
    let inherits = !at.is_pod() && profile(at.context()).is_none();
    if inherits && !profile(at.pod_context()).is_some_and(is_allowed) {
        at.forbid_in_context("spec.securityContext.seccompProfile.type", UNDEFINED);
    }
}

fn profile<'p, 'a>(context: Option<&'p SecurityContext<'a>>) -> Option<&'p Confinement<'a>> {
    context.and_then(|context| context.seccomp_profile.as_ref())
}

fn is_allowed(profile: &Confinement<'_>) -> bool {
    matches!(&*profile.type_, "RuntimeDefault" | "Localhost")
}
