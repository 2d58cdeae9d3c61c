//! A hash of a profile, by which replicas distinguish its versions.

use super::types::Profile;

/// A hash of `profile`, the same in all replicas of one version of podseal.
pub(crate) fn revision(profile: &Profile) -> u64 {
    digest(&serde_json::to_string(profile).expect("a profile can be serialized"))
}

/// FNV-1a, 64 bits: simple, and the same in every build. The standard library does
/// not guarantee that of its hashes. It need not resist attackers, who can write any
/// mark anyway.
pub(crate) fn digest(text: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}
