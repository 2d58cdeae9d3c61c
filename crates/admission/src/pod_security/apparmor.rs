//! AppArmor (baseline): no profile but the runtime's default or one of the
//! node's own, in the field, on the pod or a container, or in the annotation
//! that was there before the field.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use super::subject::Subject;
use crate::pod::{Container, Pod};

/// The annotation's key, up to the container's name.
const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn baseline(at: &mut Subject<'_, '_, '_>) {
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

/// The annotations that set a forbidden profile, each with the container it
/// names: for a grant they are as much the container's as the field is.
///
/// Sorted once for the whole pod, so that a pod of ten thousand containers and
/// as many annotations is looked through and not multiplied out.
pub(super) struct Annotations<'p>(Vec<Annotation<'p>>);

#[derive(Clone, Copy)]
pub(super) struct Annotation<'p> {
    key: &'p str,
    value: &'p str,
    /// Whether the pod has a container that it names.
    names_one: bool,
}

impl<'p> Annotation<'p> {
    fn container(&self) -> &'p str {
        &self.key[ANNOTATION.len()..]
    }
}

impl<'p> Annotations<'p> {
    pub(super) fn of(pod: &'p Pod<'_>) -> Annotations<'p> {
        let entries = pod.metadata.annotations.as_ref().map(|map| &*map.0);
        let named = || {
            let entries = entries.unwrap_or_default().iter();
            entries.filter(|(key, _)| key.starts_with(ANNOTATION))
        };
        // Of a repeated key the last counts: turned round it is the first, and
        // the sort keeps it so. Counted first, so that it takes no more memory
        // than the annotations need.
        let mut found = Vec::with_capacity(named().count());
        found.extend(named().rev().map(|(key, value)| Annotation {
            key,
            value,
            names_one: false,
        }));
        if found.is_empty() {
            return Annotations(found);
        }
        found.sort_by_key(Annotation::container);
        found.dedup_by_key(|annotation| annotation.container());
        found.retain(|annotation| !is_allowed(annotation.value));
        for (_, container) in pod.all_containers() {
            let container = &*container.name;
            if let Ok(at) = found.binary_search_by_key(&container, Annotation::container) {
                found[at].names_one = true;
            }
        }
        Annotations(found)
    }

    /// Those of `container`, or of no container of the pod.
    fn at<'s>(
        &'s self,
        container: Option<&Container<'_>>,
    ) -> impl Iterator<Item = &'s Annotation<'p>> {
        let is_of_none = container.is_none();
        let those = match container {
            None => &self.0[..],
            Some(container) => {
                let name = &*container.name;
                let found = self.0.binary_search_by_key(&name, Annotation::container);
                found.map_or(&[][..], |at| &self.0[at..=at])
            }
        };
        let names_one = !is_of_none;
        those
            .iter()
            .filter(move |annotation| annotation.names_one == names_one)
    }
}

fn is_allowed(profile: &str) -> bool {
    matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/")
}

#[cfg(test)]
mod tests {
    use super::super::{Level, violations};
    use super::*;

    fn told(json: &str) -> Vec<(String, String)> {
        let pod: Pod<'_> = serde_json::from_str(json).expect("a pod");
        let found = violations(&pod, Level::Baseline);
        let tell = |v: &super::super::Violation<'_>| {
            (v.container.to_string(), v.value.text().into_owned())
        };
        found.iter().map(tell).collect()
    }

    #[test]
    fn an_annotation_is_a_violation_of_the_container_it_names() {
        let pod = r#"{"metadata":{"annotations":{
                "container.apparmor.security.beta.kubernetes.io/gone":"unconfined",
                "container.apparmor.security.beta.kubernetes.io/helper":"runtime/default",
                "container.apparmor.security.beta.kubernetes.io/build":"unconfined"}},
            "spec":{"containers":[{"name":"helper"},{"name":"build"}]}}"#;
        assert_eq!(
            told(pod),
            [
                (String::new(), "unconfined".to_owned()),
                ("build".to_owned(), "unconfined".to_owned())
            ]
        );
    }

    #[test]
    fn of_a_repeated_annotation_the_last_counts() {
        let key = format!("{ANNOTATION}build");
        let pod = |first: &str, last: &str| {
            format!(
                r#"{{"metadata":{{"annotations":{{"{key}":"{first}","{key}":"{last}"}}}},
                    "spec":{{"containers":[{{"name":"build"}}]}}}}"#
            )
        };
        assert_eq!(told(&pod("unconfined", "runtime/default")), []);
        assert_eq!(told(&pod("runtime/default", "unconfined")).len(), 1);
    }

    #[test]
    fn an_annotation_counts_against_each_container_of_its_name() {
        let pod = r#"{"metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/build":"unconfined"}},
            "spec":{"initContainers":[{"name":"build"}],"containers":[{"name":"build"}]}}"#;
        assert_eq!(told(pod).len(), 2);
    }
}
