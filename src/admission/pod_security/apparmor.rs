//! AppArmor (baseline): no profile but the runtime's default or one of the
//! node's own, in the field, on the pod or a container, or in the annotation
//! that was there before the field.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use super::subject::{Subject, entry};
use crate::admission::pod::{Container, Pod};
use crate::admission::text::Text;

/// The annotation's key, up to the container's name.
const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn baseline(at: &mut Subject<'_, '_, '_>) {
    let profile = at
        .context()
        .and_then(|context| context.app_armor_profile.as_ref());
    if let Some(profile) = profile
        && !matches!(&*profile.type_, "RuntimeDefault" | "Localhost")
    {
        at.forbid_in_context("appArmorProfile.type", profile.type_.clone());
    }
    let annotations = at.annotations;
    for annotation in annotations.at(at.container) {
        at.forbid(
            entry("metadata.annotations", annotation.key),
            annotation.value.clone(),
        );
    }
}

/// The annotations that set a forbidden profile, each with the container it
/// names: for a grant they are as much the container's as the field is.
///
/// Sorted once for the whole pod, so that a pod of ten thousand containers and
/// as many annotations is looked through and not multiplied out.
pub(super) struct Annotations<'p, 'a> {
    by_container: Vec<Annotation<'p, 'a>>,
    /// Those that name a container the pod has not.
    of_none: Vec<Annotation<'p, 'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct Annotation<'p, 'a> {
    container: &'p str,
    key: &'p str,
    value: &'p Text<'a>,
}

impl<'p, 'a> Annotations<'p, 'a> {
    pub(super) fn of(pod: &'p Pod<'a>) -> Annotations<'p, 'a> {
        let entries = pod.metadata.annotations.as_ref().map(|map| &*map.0);
        let mut found: Vec<_> = entries
            .unwrap_or_default()
            .iter()
            .filter_map(|(key, value)| {
                let container = key.strip_prefix(ANNOTATION)?;
                Some(Annotation {
                    container,
                    key,
                    value,
                })
            })
            .collect();
        if found.is_empty() {
            return Annotations {
                by_container: found,
                of_none: Vec::new(),
            };
        }
        // Of a repeated key the last counts: turned round it is the first, and
        // the sort keeps it so.
        found.reverse();
        found.sort_by_key(|annotation| annotation.container);
        found.dedup_by_key(|annotation| annotation.container);
        found.retain(|annotation| !is_allowed(annotation.value));
        let mut names: Vec<&str> = pod.all_containers().map(|(_, c)| &*c.name).collect();
        names.sort_unstable();
        let (by_container, of_none) = found
            .into_iter()
            .partition(|annotation| names.binary_search(&annotation.container).is_ok());
        Annotations {
            by_container,
            of_none,
        }
    }

    /// Those of `container`, or of no container of the pod.
    fn at(&self, container: Option<&Container<'_>>) -> &[Annotation<'p, 'a>] {
        let Some(container) = container else {
            return &self.of_none;
        };
        let name = &*container.name;
        let found = self
            .by_container
            .binary_search_by_key(&name, |annotation| annotation.container);
        found.map_or(&[], |index| &self.by_container[index..=index])
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
        let tell = |v: &super::super::Violation<'_>| (v.container.to_string(), v.value.to_string());
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
