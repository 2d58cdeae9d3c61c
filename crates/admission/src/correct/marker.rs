//! Which version of its profile corrected a pod.
//!
//! Replicas do not take a changed profile up at the same moment: a kubelet brings
//! a ConfigMap to its node within some minutes (Kubernetes, "ConfigMaps", v1.37).
//! Meanwhile the one that corrects a pod and the one that judges it may differ,
//! and the judge would take a correct pod for one that somebody tampered with.
//! So the correction leaves a mark, by which the judge tells the two apart.
//!
//! The mark proves nothing: anyone who creates pods, or changes them after
//! podseal's mutating webhook, could write one. It spares a pod the comparison
//! with its profile and nothing else; the namespace's level is asked for as ever,
//! and what the profile grants counts only beside its limits
//! (`missing_limits`).

use crate::pod::Pod;
use crate::profile::EffectiveProfile;
use crate::profile::revision::digest;
use crate::standards::Level;

/// The pod's annotation with the mark: the profile's name and what it said.
pub const CORRECTED_AS: &str = "podseal.io/corrected-as";

/// What stands on a pod that this profile corrects in a namespace at `level`.
pub(crate) fn of(profile: &EffectiveProfile<'_>, level: Level) -> String {
    let version = (profile.revision(), profile.overrides(), level.name());
    let text = serde_json::to_string(&version).expect("numbers and texts can be written");
    // Enough to tell a version from the one before.
    let digits = digest(&text) >> 32;
    format!("{}@{digits:08x}", profile.name())
}

/// Whether another version corrected `pod` than `profile` is at `level`.
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
    fn another_profile_setting_or_level_is_another_mark() {
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
