//! The order of what the API server says about namespaces.
//!
//! A resource version is etcd's revision, which every write raises. So of two objects
//! under one name the one with the higher version is newer, even if a namespace was
//! deleted and created again meanwhile: no look at the uid is needed. Kubernetes
//! allows the comparison as of v1.35 (KEP-5504), and etcd3 has always behaved so.

/// A resource version that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u64);

impl Version {
    /// The version in this text: a decimal number. Any other has no order.
    pub(super) fn of(text: &str) -> Option<Version> {
        let is_number = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok().map(Version)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers_and_anything_else_has_no_order() {
        assert!(Version::of("9") < Version::of("10"));
        assert!(Version::of("18446744073709551615").is_some());
        for other in [
            "",
            "0",
            "07",
            "+7",
            "-7",
            "7a",
            " 7",
            "18446744073709551616",
        ] {
            assert_eq!(Version::of(other), None, "{other:?}");
        }
    }
}
