//! Which version of its profile corrected a pod.
//!
//! Replicas do not load a changed profile at the same time: a kubelet updates a
//! mounted ConfigMap within some minutes (Kubernetes, "ConfigMaps", v1.37). Until
//! then the replica that corrects a pod and the one that validates it may have
//! different versions, and the second would take a corrected pod for one that was
//! changed later. So the correction adds an annotation that identifies its version.
//!
//! The mark proves nothing: anyone who creates pods, or changes them after
//! podseal's mutating webhook, could write one. With it, a pod is not compared with
//! its profile, and nothing else changes: the namespace's level still applies, and
//! the profile's grants apply only together with its limits (`missing_limits`).

use crate::pod::Pod;
use crate::profile::EffectiveProfile;
use crate::profile::revision::digest;
use crate::standards::Level;

/// The pod's annotation with the mark: the profile's name and a digest of its
/// version.
pub const CORRECTED_AS: &str = "podseal.io/corrected-as";

/// The mark of a pod that this profile corrects in a namespace at `level`.
pub(crate) fn of(profile: &EffectiveProfile<'_>, level: Level) -> String {
    let version = (profile.revision(), profile.overrides(), level.name());
    let text = serde_json::to_string(&version).expect("numbers and texts can be written");
    // Enough digits to distinguish a version from the previous one.
    let digits = digest(&text) >> 32;
    format!("{}@{digits:08x}", profile.name())
}

/// Whether `pod` was corrected by another version of its profile than `profile` at
/// `level`.
pub(crate) fn is_of_another(pod: &Pod<'_>, profile: &EffectiveProfile<'_>, level: Level) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let mark = annotations.and_then(|annotations| annotations.get(CORRECTED_AS));
    profile.is_marked() && mark.is_some_and(|mark| **mark != *of(profile, level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profiles, Setting};

    #[test]
    fn the_digest_is_the_published_one() {
        // Test vectors of FNV-1a's authors.
        assert_eq!(digest(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn each_profile_setting_and_level_has_its_own_mark() {
        let [rootless, userns] = ["rootless", "userns"]
            .map(|name| Profiles::built_in().get(name).expect("it is built in"));
        let user =
            |user| EffectiveProfile::new(rootless, [(Setting::RunAsUser, user)]).expect("a user");
        let baseline = Level::Baseline;
        let marks = [
            of(&EffectiveProfile::unchanged(rootless), baseline),
            of(&EffectiveProfile::unchanged(rootless), Level::Restricted),
            of(&EffectiveProfile::unchanged(userns), baseline),
            of(&user("2000"), baseline),
            of(&user("2001"), baseline),
        ];
        for (index, mark) in marks.iter().enumerate() {
            assert!(!marks[..index].contains(mark), "{marks:?}");
        }
        assert_eq!(of(&user("2000"), baseline), marks[3]);
        assert!(marks[0].starts_with("rootless@"), "{marks:?}");
    }
}
