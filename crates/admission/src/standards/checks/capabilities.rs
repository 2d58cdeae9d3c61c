//! Capabilities. Baseline: none is added beyond the default set. Restricted: `ALL`
//! are dropped, and only `NET_BIND_SERVICE` may be added; a pod whose `os` is
//! Windows has none to drop.
//!
//! Names are compared as they are written. A runtime accepts `CAP_CHOWN` and
//! `chown` as `CHOWN`. The Standards do not, and neither does this check: to forbid
//! one name too many costs a message, one too few is a security hole.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::{Subject, UNDEFINED, Value};

const USUAL: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    forbid_added(at, |name| USUAL.contains(&name));
}

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    if at.is_pod() || at.is_windows() {
        return;
    }
    let capabilities = at.container_context().and_then(|c| c.capabilities.as_ref());
    let dropped = capabilities.and_then(|capabilities| capabilities.drop.as_deref());
    let dropped = dropped.unwrap_or_default();
    if !dropped.iter().any(|name| &**name == "ALL") {
        let value = match dropped {
            [] => UNDEFINED.into(),
            names => Value::Names(names),
        };
        at.forbid_in_context("spec.securityContext.capabilities.drop", value);
    }
    forbid_added(at, |name| name == "NET_BIND_SERVICE");
}

fn forbid_added(at: &mut Subject<'_, '_, '_>, is_allowed: impl Fn(&str) -> bool) {
    let capabilities = at.container_context().and_then(|c| c.capabilities.as_ref());
    let added = capabilities.and_then(|capabilities| capabilities.add.as_deref());
    for name in added.unwrap_or_default() {
        if !is_allowed(name) {
            at.forbid_in_context("spec.securityContext.capabilities.add", &**name);
        }
    }
}
