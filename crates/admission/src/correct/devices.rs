//! The annotations by which CRI-O adds devices to containers.
//!
//! Their value is a list, to which the profile's devices are added. CRI-O reads the newer
//! annotation, and the older one only where a pod lacks it (CRI-O, "Annotation migration
//! guide"; the newer since December 2025, OpenShift 4.22). So every one that the pod or
//! the profile has gets all of the devices.

use super::editor::Corrector;
use super::refusal::Refusal;
use crate::pod::Pod;
use crate::text::Text;

/// The annotations, the newer first.
const ANNOTATIONS: [&str; 2] = ["devices.crio.io", "io.kubernetes.cri-o.Devices"];

/// More than any job has: each device is compared with each.
const DEVICES: usize = 64;

/// Whether an annotation is a list of devices.
pub(crate) fn is_list(key: &str) -> bool {
    ANNOTATIONS.contains(&key)
}

/// Adds the devices of the profile's annotations to those of the pod's.
pub(super) fn add<'a>(
    corrector: &mut Corrector<'a, '_>,
    of_profile: &[(&'a str, &'a str)],
) -> Result<(), Refusal> {
    if of_profile.is_empty() {
        return Ok(());
    }
    let mut devices: Vec<String> = Vec::new();
    let lists = ANNOTATIONS
        .iter()
        .filter_map(|key| annotation(corrector.pod(), key));
    let added = of_profile.iter().map(|(_, value)| *value);
    for device in lists.chain(added).flat_map(|list| list.split(',')) {
        if !device.is_empty() && !devices.iter().any(|there| is_same(there, device)) {
            devices.push(device.to_owned());
        }
        if devices.len() > DEVICES {
            return Err(Refusal {
                place: "pod".to_owned(),
                field: "metadata.annotations devices.crio.io".to_owned(),
                problem: format!("there are more than podseal's limit of {DEVICES} devices"),
                remedy: "remove devices from the annotations of the job's pod".to_owned(),
            });
        }
    }
    let devices = devices.join(",");
    for key in ANNOTATIONS {
        let is_profiles = of_profile.iter().any(|(of, _)| *of == key);
        if is_profiles || annotation(corrector.pod(), key).is_some() {
            corrector.set_annotation(Text::from(key), devices.clone().into());
        }
    }
    Ok(())
}

/// Whether the pod has such a list.
pub(super) fn has_list(pod: &Pod<'_>) -> bool {
    ANNOTATIONS.iter().any(|key| annotation(pod, key).is_some())
}

fn annotation<'p>(pod: &'p Pod<'_>, key: &str) -> Option<&'p str> {
    let value = pod.metadata.annotations.as_ref()?.get(key)?;
    Some(value)
}

/// Whether a device is on the list already, with whatever path in the container and
/// whatever permissions: `HOST[:CONTAINER[:PERMISSIONS]]`.
fn is_same(there: &str, device: &str) -> bool {
    let host = there.split(':').next().unwrap_or_default();
    there == device || host == device
}
