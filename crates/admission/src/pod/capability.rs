//! Names of capabilities.

/// To container runtimes, `CAP_CHOWN`, `CHOWN` and `chown` are the same.
pub(crate) fn same_capability(a: &str, b: &str) -> bool {
    fn bare(name: &str) -> &str {
        match name.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("CAP_") => &name[4..],
            _ => name,
        }
    }
    bare(a).eq_ignore_ascii_case(bare(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_compared_as_container_runtimes_do() {
        assert!(same_capability("CAP_SETUID", "setuid"));
        assert!(same_capability("ALL", "all"));
        assert!(!same_capability("SETUID", "SETGID"));
        assert!(!same_capability("CAP_", "é"));
    }
}
