//! AppArmor (baseline): no profile but the runtime's default or one of the node's
//! own, in the field, on the pod or a container, or in the annotation from before
//! the field.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::standards::subject::Subject;

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let profile = at
        .context()
        .and_then(|context| context.app_armor_profile.as_ref());
    if let Some(profile) = profile
        && !matches!(&*profile.type_, "RuntimeDefault" | "Localhost")
    {
        at.forbid_in_context("spec.securityContext.appArmorProfile.type", &*profile.type_);
    }
    let annotations = at.annotations;
    for annotation in annotations.at(at.container) {
        at.forbid_entry("metadata.annotations[]", annotation.key, annotation.value);
    }
}

#[cfg(test)]
mod tests {
    use crate::pod::Pod;
    use crate::standards::apparmor_annotations::ANNOTATION;
    use crate::standards::{Level, violations};

    fn found(json: &str) -> Vec<(String, String)> {
        let pod: Pod<'_> = serde_json::from_str(json).expect("a pod");
        let found = violations(&pod, Level::Baseline);
        let line = |v: &crate::standards::Violation<'_>| {
            (v.container.to_string(), v.value.text().into_owned())
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn an_annotation_is_a_violation_of_the_container_it_names() {
        let pod = r#"{"metadata":{"annotations":{
                "container.apparmor.security.beta.kubernetes.io/gone":"unconfined",
                "container.apparmor.security.beta.kubernetes.io/helper":"runtime/default",
                "container.apparmor.security.beta.kubernetes.io/build":"unconfined"}},
            "spec":{"containers":[{"name":"helper"},{"name":"build"}]}}"#;
        assert_eq!(
            found(pod),
            [
                (String::new(), "unconfined".to_owned()),
                ("build".to_owned(), "unconfined".to_owned())
            ]
        );
    }

    #[test]
    fn the_last_one_of_repeated_annotations_applies() {
        let key = format!("{ANNOTATION}build");
        let pod = |first: &str, last: &str| {
            format!(
                r#"{{"metadata":{{"annotations":{{"{key}":"{first}","{key}":"{last}"}}}},
                    "spec":{{"containers":[{{"name":"build"}}]}}}}"#
            )
        };
        assert_eq!(found(&pod("unconfined", "runtime/default")), []);
        assert_eq!(found(&pod("runtime/default", "unconfined")).len(), 1);
    }

    #[test]
    fn an_annotation_counts_against_each_container_of_its_name() {
        let pod = r#"{"metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/build":"unconfined"}},
            "spec":{"initContainers":[{"name":"build"}],"containers":[{"name":"build"}]}}"#;
        assert_eq!(found(pod).len(), 2);
    }
}
