//! Which values the fields of the pod itself may have.

use super::Findings;
use crate::pod::field::Field;
use crate::pod::limits::{ANNOTATIONS, LAST_ID};
use crate::pod::names::{is_label_value, is_qualified, is_subdomain};
use crate::profile::PodFields;
use crate::profile::security_context::SecurityContext;
use crate::text::quoted;

/// How many groups, tolerations or labels of nodes a pod may get.
const LISTED: usize = 32;

/// Annotations that no profile may have, by their prefixes.
const REFUSED_ANNOTATIONS: [(&str, &str); 7] = [
    // The field would not change with it, and the API server rejects a
    // difference.
    (
        "container.apparmor.security.beta.kubernetes.io",
        "use appArmorProfile under containers instead",
    ),
    (
        "kubernetes.io/config.",
        "is for static pods, which a kubelet creates",
    ),
    (
        "scheduler.alpha.kubernetes.io/",
        "is no longer used by Kubernetes, and the API server rejects some of its values",
    ),
    (
        "seccomp.security.alpha.kubernetes.io/",
        "use seccompProfile instead",
    ),
    (
        "container.seccomp.security.alpha.kubernetes.io/",
        "use seccompProfile under containers instead",
    ),
    (
        "controller.kubernetes.io/pod-deletion-cost",
        "is for pods of a ReplicaSet",
    ),
    ("podseal.io/", "is reserved for podseal"),
];

impl Findings {
    pub(crate) fn pod(&mut self, path: &[&'static str], fields: &PodFields) {
        let at = |key: &'static str| [path, &[key]].concat();
        let size: usize = fields
            .annotations
            .iter()
            .map(|(k, v)| k.len() + v.len())
            .sum();
        if size > ANNOTATIONS {
            let problem =
                format!("{size} bytes are more than the {ANNOTATIONS} that a pod may have");
            self.error(&at("annotations"), problem);
        }
        if let Some(key) = fields.annotations.keys().find(|key| !is_qualified(key)) {
            let problem = format!("{} is not a valid annotation key", quoted(key));
            self.error(&at("annotations"), problem);
        }
        for (begin, why) in REFUSED_ANNOTATIONS {
            let mut keys = fields.annotations.keys();
            if let Some(key) = keys.find(|key| key.starts_with(begin)) {
                self.error(&at("annotations"), format!("{}: {why}", quoted(key)));
            }
        }
        let of_containers = [
            Field::Privileged,
            Field::AllowPrivilegeEscalation,
            Field::ReadOnlyRootFilesystem,
            Field::ProcMount,
        ];
        for field in of_containers {
            if fields.security_context.get(field).is_some() {
                let at = [path, &["securityContext", field.key().1]].concat();
                self.error(
                    &at,
                    "is a field of containers only; set it under containers",
                );
            }
        }
        self.groups(&at("securityContext"), &fields.security_context);
        self.scheduling(path, fields);
        // The API server's own defaults are lists, too, so they are never unset.
        for (at, is_there) in [
            (
                &["securityContext", "supplementalGroups"][..],
                !fields.security_context.supplemental_groups.is_empty(),
            ),
            (&["tolerations"], !fields.tolerations.is_empty()),
        ] {
            if is_there && path.last() == Some(&"ifUnset") {
                let problem = "is added to what the pod has; write it under set";
                self.error(&[path, at].concat(), problem);
            }
        }
        self.confinement(&at("securityContext"), &fields.security_context);
    }

    /// The groups of the pod and of its volumes.
    fn groups(&mut self, path: &[&'static str], context: &SecurityContext) {
        let at = |key: &'static str| [path, &[key]].concat();
        let is_id = |id: &i64| (0..=LAST_ID).contains(id);
        if context.fs_group.is_some_and(|id| !is_id(&id)) {
            self.error(&at("fsGroup"), format!("an id is between 0 and {LAST_ID}"));
        }
        if !context.supplemental_groups.iter().all(is_id) {
            let problem = format!("an id is between 0 and {LAST_ID}");
            self.error(&at("supplementalGroups"), problem);
        }
        if context.supplemental_groups.len() > LISTED {
            let problem = format!("there are more than {LISTED}");
            self.error(&at("supplementalGroups"), problem);
        }
        let policy = context.fs_group_change_policy.as_deref();
        if policy.is_some_and(|policy| !["Always", "OnRootMismatch"].contains(&policy)) {
            self.error(&at("fsGroupChangePolicy"), "is Always or OnRootMismatch");
        }
    }

    /// Where the pod runs.
    fn scheduling(&mut self, path: &[&'static str], fields: &PodFields) {
        let at = |key: &'static str| [path, &[key]].concat();
        let class = fields.runtime_class_name.as_deref();
        if let Some(class) = class.filter(|class| !is_subdomain(class)) {
            let problem = format!("{} is not the name of a RuntimeClass", quoted(class));
            self.error(&at("runtimeClassName"), problem);
        }
        if fields.node_selector.len() > LISTED {
            let problem = format!("there are more than {LISTED} labels");
            self.error(&at("nodeSelector"), problem);
        }
        for (key, value) in &fields.node_selector {
            let is_windows = key.ends_with("kubernetes.io/os") && value != "linux";
            if !is_qualified(key) || !(value.is_empty() || is_label_value(value)) {
                let problem = format!("{}: {} is not a label", quoted(key), quoted(value));
                self.error(&at("nodeSelector"), problem);
            } else if is_windows {
                self.error(&at("nodeSelector"), "Podman's images run on Linux");
            }
        }
        if fields.tolerations.len() > LISTED {
            let problem = format!("there are more than {LISTED}");
            self.error(&at("tolerations"), problem);
        }
        for toleration in &fields.tolerations {
            if let Some(problem) = toleration.problem() {
                let problem = format!("{}: {problem}", quoted(&toleration.to_string()));
                self.error(&at("tolerations"), problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::Profile;

    #[test]
    fn annotations_are_rejected_that_would_make_the_pod_invalid_or_never_right() {
        for key in [
            "container.apparmor.security.beta.kubernetes.io/build",
            "kubernetes.io/config.mirror",
            "scheduler.alpha.kubernetes.io/tolerations",
            "podseal.io/corrected-as",
            "no/key/at-all",
        ] {
            let yaml = format!(
                "name: x\nsummary: y\npod:\n  ifUnset:\n    annotations:\n      {key}: z\n"
            );
            let error = Profile::from_yaml(&yaml).expect_err(key).to_string();
            assert!(
                error.starts_with("line 5 column 5: pod.ifUnset.annotations: "),
                "{error}"
            );
            assert!(error.contains(key), "{error}");
        }
    }
}
