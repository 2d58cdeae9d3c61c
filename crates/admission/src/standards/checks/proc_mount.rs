//! /proc Mount Type: what the runtime masks in `/proc` stays masked. At
//! baseline a pod in a user namespace of its own may unmask it (since v1.35);
//! at restricted none may.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    if !at.in_user_namespace() {
        restricted(at);
    }
}

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    let context = at.container_context();
    if let Some(proc_mount) = context.and_then(|context| context.proc_mount.as_ref())
        && &**proc_mount != "Default"
    {
        at.forbid_in_context("spec.securityContext.procMount", &**proc_mount);
    }
}
