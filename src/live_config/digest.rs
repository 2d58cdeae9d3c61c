//! The digest of namespace rules in webhook paths.
//!
//! A webhook entry for namespace rules calls `/mutate/rules-DIGEST`. During a rollout
//! some replicas have the old rules and some the new ones, and a replica without a rule
//! would admit the pods that the rule is for. The path names the rules that the API
//! server requires, so that a replica with other rules can refuse to decide.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// The number of hexadecimal digits: 64 bits, which is enough to distinguish one
/// administrator's files. The chart uses the same length.
const DIGITS: usize = 16;
/// The prefix of a path's last segment, which must be a DNS-1123 name.
const PREFIX: &str = "rules-";

/// The digest of a file of namespace rules: `rules-` and 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesDigest(String);

impl RulesDigest {
    /// The digest of a file's text. Every byte counts, including those of comments.
    pub fn of(text: &str) -> RulesDigest {
        let hash = digest(&SHA256, text.as_bytes());
        let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let hex: String = hex.take(DIGITS / 2).collect();
        RulesDigest(format!("{PREFIX}{hex}"))
    }

    /// The digest in a path's last segment. The format is strict, because any client can
    /// send a path.
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
