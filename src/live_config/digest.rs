//! Which namespace rules a replica holds, as the paths of webhooks name them.
//!
//! An entry of a webhook configuration that is for namespace rules calls
//! `/mutate/rules-DIGEST`. While a rule changes there are replicas with the old
//! rules and replicas with the new ones, and a replica that does not know a rule
//! would let its pods pass. The path says which rules the API server means, so a
//! replica that holds others can say so instead of deciding.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// The hexadecimal digits of a digest: 64 bits, enough to tell the few sets of
/// rules apart that one administrator writes. The chart cuts at the same length.
const DIGITS: usize = 16;
/// What a path's last segment begins with. A segment has to be a DNS-1123 name.
const PREFIX: &str = "rules-";

/// The digest of a file of namespace rules: `rules-` and 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesDigest(String);

impl RulesDigest {
    /// That of a file with this text, byte for byte: what differs in nothing but a
    /// comment is another file.
    pub fn of(text: &str) -> RulesDigest {
        let hash = digest(&SHA256, text.as_bytes());
        let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let hex: String = hex.take(DIGITS / 2).collect();
        RulesDigest(format!("{PREFIX}{hex}"))
    }

    /// The one that a path's last segment names. Any client can send a path, so
    /// nothing else is a digest, however similar.
    pub fn from_segment(segment: &str) -> Option<RulesDigest> {
        let hex = segment.strip_prefix(PREFIX)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == DIGITS && hex.bytes().all(is_hex)).then(|| RulesDigest(segment.to_owned()))
    }
}

impl fmt::Display for RulesDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_beginning_of_sha256_of_every_byte() {
        // As `printf 'rules: []' | sha256sum` prints it.
        let digest = RulesDigest::of("rules: []");
        assert_eq!(digest.to_string(), "rules-00eb8a0ecfecb77c");
        assert_ne!(RulesDigest::of("rules: []\n"), digest);
        assert_eq!(RulesDigest::from_segment(&digest.to_string()), Some(digest));
    }

    #[test]
    fn a_segment_of_any_other_form_is_no_digest() {
        let long = format!("rules-{}", "0".repeat(1 << 16));
        for segment in [
            "",
            "rules-",
            "rules-0123456789abcde",
            "rules-0123456789abcdef0",
            "rules-0123456789ABCDEF",
            "rules-0123456789abcdeg",
            "rules-%30123456789abcde",
            "rules-\u{e9}123456789abcd",
            "0123456789abcdef",
            long.as_str(),
        ] {
            assert_eq!(RulesDigest::from_segment(segment), None);
        }
    }
}
