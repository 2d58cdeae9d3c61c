//! A number for what a profile says, by which replicas tell versions apart.

use super::types::Profile;

/// A number for what `profile` says, the same in all replicas of one podseal.
pub(crate) fn revision(profile: &Profile) -> u64 {
    digest(&serde_json::to_string(profile).expect("a profile can be written"))
}

/// FNV-1a, 64 bits: short, and the same in replicas that were built by different
/// releases of Rust, of which the standard library's hashes promise nothing. It
/// need not withstand an attacker, who can write any mark.
pub(crate) fn digest(text: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}
