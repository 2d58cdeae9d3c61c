//! Values of two fields that exclude each other in one container.

use super::{Findings, set_value};
use crate::gitlab::role::Role;
use crate::pod::field::Field;
use crate::pod::limits::LAST_MAPPED_ID;
use crate::profile::Profile;

impl Findings {
    pub(crate) fn together(&mut self, profile: &Profile, role: Role) {
        let value = |field| set_value(profile, role, field);
        let is_set_to = |field, flag: bool| value(field).filter(|value| value.is(flag));
        if let Some(escalation) = is_set_to(Field::AllowPrivilegeEscalation, false) {
            let added = &profile.containers.role(role).capabilities.add;
            if is_set_to(Field::Privileged, true).is_some() {
                self.error(
                    &escalation.path,
                    "false together with privileged: true, which the API server rejects; set true",
                );
            }
            // It compares the exact name: it accepts SYS_ADMIN.
            if added.iter().any(|name| name == "CAP_SYS_ADMIN") {
                self.error(
                    &escalation.path,
                    "false together with the capability CAP_SYS_ADMIN, which the API server \
                     rejects",
                );
            }
        }
        let user = value(Field::RunAsUser);
        let is_root = user.as_ref().and_then(|user| user.id()) == Some(0);
        if let Some(non_root) = is_set_to(Field::RunAsNonRoot, true).filter(|_| is_root) {
            self.error(
                &non_root.path,
                "true together with runAsUser: 0: the kubelet never starts such a container",
            );
        }
        let has_own_user_namespace = profile.has_own_user_namespace();
        if let Some(mount) = value(Field::ProcMount)
            && mount.text().as_deref() == Some("Unmasked")
            && !has_own_user_namespace
        {
            self.error(
                &mount.path,
                "Unmasked without pod.set.hostUsers: false, which the API server rejects",
            );
        }
        for id in [user, value(Field::RunAsGroup)].into_iter().flatten() {
            if has_own_user_namespace && id.id().is_some_and(|id| id > LAST_MAPPED_ID) {
                let problem = format!("a pod with hostUsers: false has ids up to {LAST_MAPPED_ID}");
                self.error(&id.path, problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::Profile;

    #[test]
    fn values_that_exclude_each_other_are_rejected_where_they_are_set() {
        for (rest, refusal) in [
            (
                "containers: {build: {set: {securityContext: {privileged: true, \
                 allowPrivilegeEscalation: false}}}}",
                "containers.build.set.securityContext.allowPrivilegeEscalation: false together \
                 with privileged",
            ),
            (
                "containers: {helper: {capabilities: {add: [CAP_SYS_ADMIN]}, ifUnset: \
                 {securityContext: {allowPrivilegeEscalation: false}}}}",
                "containers.helper.ifUnset.securityContext.allowPrivilegeEscalation: false \
                 together with the capability",
            ),
            (
                "pod: {set: {securityContext: {runAsNonRoot: true}}}\ncontainers: {init: {set: {securityContext: {runAsUser: 0}}}}",
                "pod.set.securityContext.runAsNonRoot: true together with runAsUser: 0",
            ),
            (
                "containers: {build: {set: {securityContext: {procMount: Unmasked}}}}",
                "containers.build.set.securityContext.procMount: Unmasked without",
            ),
            (
                "pod: {ifUnset: {hostUsers: false, securityContext: {runAsGroup: 65536}}}",
                "pod.ifUnset.securityContext.runAsGroup: a pod with hostUsers: false",
            ),
        ] {
            let yaml = format!("name: x\nsummary: y\n{rest}\n");
            let error = Profile::from_yaml(&yaml).expect_err(rest).to_string();
            assert!(error.contains(refusal), "{error}");
        }
    }

    #[test]
    fn values_that_the_api_server_accepts_are_accepted() {
        for rest in [
            "containers: {build: {capabilities: {add: [SYS_ADMIN]}, set: {securityContext: \
             {allowPrivilegeEscalation: false}}}}",
            "pod: {set: {hostUsers: false}}\ncontainers: {build: {set: {securityContext: {procMount: Unmasked, runAsUser: 65535}}}}",
            "containers: {build: {set: {securityContext: {runAsUser: 65536}}}}",
        ] {
            let yaml = format!("name: x\nsummary: y\n{rest}\n");
            Profile::from_yaml(&yaml).expect(rest);
        }
    }
}
