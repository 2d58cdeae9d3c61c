//! Which pods a profile cannot be applied to.
//!
//! The worst outcome is a patch that the API server then rejects: the job fails
//! with an error about fields that its author never wrote. So every rule of the API
//! server's that a profile can violate is checked here first, with an error in the
//! author's terms.

use std::collections::HashSet;

use super::refusal::Refusal;
use crate::pod::effective::effective;
use crate::pod::field::{Confinement, Field, Scalar};
use crate::pod::limits::{ANNOTATIONS as ANNOTATIONS_LENGTH, LAST_MAPPED_ID};
use crate::pod::place::{ContainerRef, Place};
use crate::pod::security_context::SecurityContext;
use crate::pod::{Container, Pod, VolumeMount};
use crate::text::{Text, quoted, unquoted};

/// More than any job has. The work and the patch grow with the containers, and a
/// user may create a pod with a hundred thousand of them.
pub(crate) const CONTAINERS: usize = 256;

/// More than any job has. Volumes and annotations are looked up by name for each
/// container.
const VOLUMES: usize = 1024;
const ANNOTATIONS: usize = 4096;

/// The longest text in the pod's `securityContext`, which is patched into each
/// container.
const INHERITED: usize = 1024;

/// Rejects a pod with too many containers, volumes or annotations to correct.
pub(crate) fn find_in_size(pod: &Pod<'_>) -> Result<(), Refusal> {
    let volumes = pod.spec.volumes.as_ref().map_or(0, Vec::len);
    let annotations = pod.metadata.annotations.as_ref();
    for (field, count, most, remedy) in [
        (
            "containers",
            pod.containers().count(),
            CONTAINERS,
            "use fewer services in the job",
        ),
        (
            "volumes",
            volumes,
            VOLUMES,
            "remove volumes from the runner's config.toml",
        ),
        (
            "metadata.annotations",
            annotations.map_or(0, |annotations| annotations.0.len()),
            ANNOTATIONS,
            "remove annotations from the job's pod",
        ),
    ] {
        if count > most {
            return Err(Refusal {
                place: "pod".to_owned(),
                field: field.to_owned(),
                problem: format!("{count} are more than podseal's limit of {most}"),
                remedy: remedy.to_owned(),
            });
        }
    }
    inherited_texts_are_short(pod)
}

/// The annotation that names the SCC that a pod needs, and the one with the SCC that
/// OpenShift admitted it by.
pub(crate) const REQUIRED_SCC: &str = "openshift.io/required-scc";
const SCC: &str = "openshift.io/scc";

/// Rejects a pod that OpenShift has admitted by another SCC than `required`. It does so
/// before it calls webhooks, sets that SCC's users and limits, and refuses the pod if they
/// are changed.
pub(crate) fn find_scc(pod: &Pod<'_>, required: &str) -> Result<(), Refusal> {
    let annotations = pod.metadata.annotations.as_ref();
    let scc = annotations.and_then(|annotations| annotations.get(SCC));
    match scc.filter(|scc| ***scc != *required) {
        None => Ok(()),
        Some(scc) => Err(Refusal {
            place: "pod".to_owned(),
            field: format!("metadata.annotations {SCC}"),
            problem: format!(
                "OpenShift has admitted the pod by the SCC {}, and refuses what the profile needs",
                quoted(scc)
            ),
            remedy: format!(
                "add {} = {} to [runners.kubernetes.pod_annotations] in the runner's config.toml, and \
                 let the service account of its jobs use that SCC",
                quoted(REQUIRED_SCC),
                quoted(required)
            ),
        }),
    }
}

/// Rejects a pod that has another runtime class than the profile. The API server has added
/// that one's overhead and nodes to the pod before it calls webhooks.
pub(crate) fn find_runtime_class(pod: &Pod<'_>, of_profile: &str) -> Result<(), Refusal> {
    match &pod.spec.runtime_class_name {
        // An empty one is the node's default.
        Some(class) if !class.is_empty() && **class != *of_profile => Err(Refusal {
            place: "pod".to_owned(),
            field: "runtimeClassName".to_owned(),
            problem: format!(
                "the profile sets {}, and the pod has {}, whose overhead and nodes it has already",
                quoted(of_profile),
                quoted(class)
            ),
            remedy: "remove runtime_class_name from the runner's config.toml".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn inherited_texts_are_short(pod: &Pod<'_>) -> Result<(), Refusal> {
    let Some(context) = &pod.spec.security_context else {
        return Ok(());
    };
    let confinement = |profile: &Option<Confinement<'_>>| {
        let texts = profile.iter().flat_map(|profile| {
            let local = profile.localhost_profile.as_ref();
            [Some(&profile.type_), local]
        });
        texts.flatten().map(|text| text.len()).max()
    };
    let se_linux = context
        .se_linux_options
        .iter()
        .flat_map(|options| [&options.user, &options.role, &options.level, &options.type_]);
    let se_linux = se_linux.flatten().map(|text| text.len()).max();
    let fields = [
        ("seccompProfile", confinement(&context.seccomp_profile)),
        ("appArmorProfile", confinement(&context.app_armor_profile)),
        ("seLinuxOptions", se_linux),
    ];
    let is_long = |(_, length): &&(&str, Option<usize>)| length.is_some_and(|l| l > INHERITED);
    match fields.iter().find(is_long) {
        None => Ok(()),
        Some((field, _)) => Err(Refusal {
            place: "pod".to_owned(),
            field: format!("securityContext.{field}"),
            problem: format!("a value in it is longer than podseal's limit of {INHERITED} bytes"),
            remedy: "shorten it in pod_security_context in the runner's config.toml".to_owned(),
        }),
    }
}

/// Rejects a pod in which two containers have the same name.
pub(crate) fn find_in_names(pod: &Pod<'_>) -> Result<(), Refusal> {
    let mut names = HashSet::new();
    match pod
        .containers()
        .find(|(_, container)| !names.insert(&*container.name))
    {
        None => Ok(()),
        Some((place, container)) => Err(Refusal {
            place: format!("{place} {}", quoted(&container.name)),
            field: "name".to_owned(),
            problem: "another container has the same name, which Kubernetes rejects".to_owned(),
            remedy: "use another alias for the service".to_owned(),
        }),
    }
}

/// Rejects a patched pod that the API server would reject, or the kubelet never
/// start (Kubernetes 1.37, `pkg/apis/core/validation`).
pub(crate) fn find(pod: &Pod<'_>, annotates: bool) -> Result<(), Refusal> {
    let own_ids = pod.spec.host_users == Some(false);
    for (place, container) in pod.containers() {
        let who = || format!("{place} {}", quoted(&container.name));
        if let Some(context) = &container.security_context {
            escalation_fits(context, who)?;
            if !own_ids {
                proc_mount_fits(context, who)?;
            }
        }
        propagation_fits(container, who)?;
        if own_ids {
            ids_can_be_mapped(pod, place, who)?;
            if !container.volume_devices.is_empty() {
                return Err(Refusal {
                    place: who(),
                    field: "volumeDevices".to_owned(),
                    problem: "Kubernetes allows no raw block device in a pod with a user \
                              namespace of its own (hostUsers: false)"
                        .to_owned(),
                    remedy: "use a filesystem volume or another profile".to_owned(),
                });
            }
        }
    }
    if own_ids {
        namespaces_fit(pod)?;
    }
    if annotates {
        annotations_fit(pod)
    } else {
        Ok(())
    }
}

/// Rejects a container that runs as root and must not. The API server accepts such
/// a pod, but the kubelet never starts the container, and the job waits until it
/// times out.
pub(crate) fn root_can_start(pod: &Pod<'_>, at: ContainerRef) -> Result<(), Refusal> {
    let place = Place::Container(at);
    let is_root = effective(pod, place, Field::RunAsUser) == Some(Scalar::Int(0));
    let must_not = effective(pod, place, Field::RunAsNonRoot) == Some(Scalar::Bool(true));
    if !is_root || !must_not {
        return Ok(());
    }
    Err(Refusal {
        place: format!("{place} {}", quoted(&pod.container(at).name)),
        field: "securityContext.runAsNonRoot".to_owned(),
        problem: "true together with runAsUser: 0, and the kubelet never starts such a container"
            .to_owned(),
        remedy: "remove run_as_non_root, or the user 0, from the runner's config.toml, or ask a \
                 cluster administrator for a profile that sets runAsNonRoot: false"
            .to_owned(),
    })
}

fn escalation_fits(context: &SecurityContext<'_>, who: impl Fn() -> String) -> Result<(), Refusal> {
    if context.allow_privilege_escalation != Some(false) {
        return Ok(());
    }
    let added = context.capabilities.as_ref().and_then(|c| c.add.as_deref());
    let sys_admin = |name: &Text<'_>| &**name == "CAP_SYS_ADMIN";
    let (field, remedy) = if context.privileged == Some(true) {
        (
            "securityContext.privileged",
            "remove privileged from the runner's config.toml",
        )
    } else if added.unwrap_or_default().iter().any(sys_admin) {
        (
            "securityContext.capabilities.add",
            "remove CAP_SYS_ADMIN from cap_add in the runner's config.toml",
        )
    } else {
        return Ok(());
    };
    Err(Refusal {
        place: who(),
        field: field.to_owned(),
        problem: "Kubernetes rejects it together with allowPrivilegeEscalation: false".to_owned(),
        remedy: remedy.to_owned(),
    })
}

fn ids_can_be_mapped(pod: &Pod<'_>, place: Place, who: impl Fn() -> String) -> Result<(), Refusal> {
    for (field, name) in [
        (Field::RunAsUser, "runAsUser"),
        (Field::RunAsGroup, "runAsGroup"),
    ] {
        if let Some(Scalar::Int(id)) = effective(pod, place, field)
            && id > LAST_MAPPED_ID
        {
            return Err(unmapped(who(), name, id));
        }
    }
    Ok(())
}

fn unmapped(place: String, field: &str, id: i64) -> Refusal {
    Refusal {
        place,
        field: format!("securityContext.{field}"),
        problem: format!(
            "{id} does not exist in a pod with a user namespace of its own (hostUsers: false), \
             which has ids up to {}",
            LAST_MAPPED_ID
        ),
        remedy: "remove it from the runner's config.toml or use another profile".to_owned(),
    }
}

fn propagation_fits(container: &Container<'_>, who: impl Fn() -> String) -> Result<(), Refusal> {
    let context = container.security_context.as_ref();
    if context.is_some_and(|context| context.privileged == Some(true)) {
        return Ok(());
    }
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let both_ways =
        |mount: &&VolumeMount<'_>| mount.mount_propagation.as_deref() == Some("Bidirectional");
    match mounts.iter().find(both_ways) {
        None => Ok(()),
        Some(mount) => Err(Refusal {
            place: who(),
            field: format!("volumeMounts[{}].mountPropagation", unquoted(&mount.name)),
            problem: "Kubernetes rejects Bidirectional in a container that is not privileged"
                .to_owned(),
            remedy: "remove mount_propagation from the volume in the runner's config.toml"
                .to_owned(),
        }),
    }
}

/// Rejects host namespaces together with a user namespace, and groups that do not
/// exist in one.
fn namespaces_fit(pod: &Pod<'_>) -> Result<(), Refusal> {
    let spec = &pod.spec;
    for (host, field) in [
        (spec.host_network, "hostNetwork"),
        (spec.host_pid, "hostPID"),
        (spec.host_ipc, "hostIPC"),
    ] {
        if host == Some(true) {
            return Err(Refusal {
                place: "pod".to_owned(),
                field: field.to_owned(),
                problem: "Kubernetes rejects it together with hostUsers: false".to_owned(),
                remedy: format!("remove {field} from the runner's config.toml"),
            });
        }
    }
    let context = spec.security_context.as_ref();
    let fs_group = context.and_then(|context| context.fs_group);
    if let Some(group) = fs_group.filter(|&group| group > LAST_MAPPED_ID) {
        return Err(unmapped("pod".to_owned(), "fsGroup", group));
    }
    let groups = context.and_then(|context| context.supplemental_groups.as_deref());
    match groups
        .unwrap_or_default()
        .iter()
        .find(|&&group| group > LAST_MAPPED_ID)
    {
        Some(&group) => Err(unmapped("pod".to_owned(), "supplementalGroups", group)),
        None => Ok(()),
    }
}

fn proc_mount_fits(context: &SecurityContext<'_>, who: impl Fn() -> String) -> Result<(), Refusal> {
    if context.proc_mount.as_deref() != Some("Unmasked") {
        return Ok(());
    }
    Err(Refusal {
        place: who(),
        field: "securityContext.procMount".to_owned(),
        problem: "Kubernetes rejects Unmasked unless hostUsers is false".to_owned(),
        remedy: "use a profile that sets hostUsers: false, such as userns, or remove procMount \
                 from the runner's config.toml"
            .to_owned(),
    })
}

fn annotations_fit(pod: &Pod<'_>) -> Result<(), Refusal> {
    let annotations = pod.metadata.annotations.as_ref();
    let entries = annotations
        .map(|annotations| annotations.0.as_slice())
        .unwrap_or_default();
    let size: usize = entries
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size <= ANNOTATIONS_LENGTH {
        return Ok(());
    }
    Err(Refusal {
        place: "pod".to_owned(),
        field: "metadata.annotations".to_owned(),
        problem: format!(
            "would have {size} bytes with the profile's own, and Kubernetes allows \
             {ANNOTATIONS_LENGTH}"
        ),
        remedy: "remove or shorten annotations of the job's pod".to_owned(),
    })
}
