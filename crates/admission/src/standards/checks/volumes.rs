//! HostPath Volumes (baseline): no volume is a directory of the node. Volume
//! Types (restricted): every volume is of a kind that only the pod itself, its
//! namespace or the cluster's administrator can fill.
//!
//! A volume without a source is an emptyDir, as the API server has it before
//! any admission. One with a source that podseal does not know is of a
//! forbidden kind: it comes from a newer API server, or from a mistake.
//!
//! Source: "Pod Security Standards", Kubernetes v1.37, as the module
//! `k8s.io/pod-security-admission` v0.37.1 has them.

use crate::pod::Volume;
use crate::standards::subject::Subject;

const ALLOWED: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub(in crate::standards) fn baseline(at: &mut Subject<'_, '_, '_>) {
    forbid(at, |volume| volume.host_path.is_some());
}

pub(in crate::standards) fn restricted(at: &mut Subject<'_, '_, '_>) {
    // One allowed source is enough for the reference; the API server then
    // rejects the volume for having two.
    forbid(at, |volume| {
        let is_allowed = |source: &&str| ALLOWED.contains(source);
        let mut sources = volume.sources.iter().map(|source| &**source);
        !volume.sources.is_empty() && !sources.any(|source| is_allowed(&source))
    });
}

fn forbid<'a>(at: &mut Subject<'_, '_, 'a>, is_forbidden: impl Fn(&Volume<'a>) -> bool) {
    if !at.is_pod() {
        return;
    }
    let volumes = at.pod.spec.volumes.as_deref();
    for volume in volumes.unwrap_or_default() {
        if !is_forbidden(volume) {
            continue;
        }
        let name = &*volume.name;
        match (&volume.host_path, volume.sources.first()) {
            (Some(host_path), _) => {
                at.forbid_entry("spec.volumes[].hostPath.path", name, &*host_path.path);
            }
            (None, source) => {
                let source = source.map(|source| &**source);
                at.forbid_entry("spec.volumes[]", name, source.unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::pod::Pod;
    use crate::standards::{Level, violations};

    #[test]
    fn a_volume_without_a_source_is_an_empty_dir() {
        let pod: Pod<'_> =
            serde_json::from_str(r#"{"spec":{"volumes":[{"name":"v"},{"name":"w","nfs":null}]}}"#)
                .expect("a pod");
        assert_eq!(violations(&pod, Level::Restricted), []);
    }

    #[test]
    fn a_host_path_volume_is_reported_with_its_path() {
        let pod: Pod<'_> = serde_json::from_str(
            r#"{"spec":{"volumes":[{"name":"socket dir","hostPath":{"path":"/run","type":""}}]}}"#,
        )
        .expect("a pod");
        for level in [Level::Baseline, Level::Restricted] {
            let [found] = &violations(&pod, level)[..] else {
                panic!("one violation at {}", level.name());
            };
            assert_eq!(
                found.field.to_string(),
                r"spec.volumes[socket\u{20}dir].hostPath.path"
            );
            assert_eq!(found.value.text(), "/run");
        }
    }
}
