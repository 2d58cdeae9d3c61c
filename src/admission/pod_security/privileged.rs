//! Privileged Containers (baseline): none is.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37.

use super::subject::Subject;

pub(super) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let context = at.container_context();
    if context.and_then(|context| context.privileged) == Some(true) {
        at.forbid_in_context("privileged", "true");
    }
}
