//! SELinux (baseline): on the pod or a container, no type but those made for
//! containers, and neither user nor role. The level is free.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

/// `container_engine_t` since v1.31.
const FOR_CONTAINERS: [&str; 4] = [
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let Some(options) = at.context().and_then(|c| c.se_linux_options.as_ref()) else {
        return;
    };
    for (field, value, allowed) in [
        (
            "spec.securityContext.seLinuxOptions.type",
            &options.type_,
            &FOR_CONTAINERS[..],
        ),
        (
            "spec.securityContext.seLinuxOptions.user",
            &options.user,
            &[],
        ),
        (
            "spec.securityContext.seLinuxOptions.role",
            &options.role,
            &[],
        ),
    ] {
        if let Some(value) = value
            && !value.is_empty()
            && !allowed.contains(&&**value)
        {
            at.forbid_in_context(field, &**value);
        }
    }
}
