//! Names, quantities and capabilities that Kubernetes accepts.

/// The capabilities that Linux 6.18 has (`capabilities(7)`), without `CAP_`.
pub(crate) const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Whether `text` is a valid label value that is not empty.
pub(crate) fn is_label_value(text: &str) -> bool {
    is_name(text) && text.len() <= 63
}

fn is_name(text: &str) -> bool {
    let ends = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    ends(bytes.first().copied())
        && ends(bytes.last().copied())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Whether `key` is a qualified name: `prefix/name`, or a name alone.
pub(crate) fn is_qualified(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        None => (None, key),
        Some((prefix, name)) => (Some(prefix), name),
    };
    is_label_value(name) && prefix.is_none_or(is_subdomain)
}

pub(crate) fn is_subdomain(domain: &str) -> bool {
    let is_label = |label: &str| {
        is_name(label)
            && !label.contains(['_', '.'])
            && !label.contains(|c: char| c.is_ascii_uppercase())
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}

/// Whether `name` is an extended resource (Kubernetes, "Resource Management for
/// Pods and Containers", v1.37): qualified, and outside `kubernetes.io`, which for
/// the API server is any domain that ends with it. A quota prefixes it with
/// `requests.`, and must stay within the length.
pub fn is_extended_resource(name: &str) -> bool {
    let outside = |(domain, _): (&str, &str)| {
        !domain.ends_with("kubernetes.io")
            && !domain.starts_with("requests.")
            && is_subdomain(&format!("requests.{domain}"))
    };
    name.split_once('/').is_some_and(outside) && is_qualified(name)
}

/// Whether a container can be called `name`: a label of DNS.
pub(crate) fn is_container_name(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Whether `text` is a quantity for a size: a number of at least 1, with one of the
/// suffixes.
pub(crate) fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffixes = [
        "", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let is_number = !digits.is_empty()
        && digits.len() <= 15
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    is_number && suffixes.contains(&&text[digits.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_resource_is_what_the_api_server_accepts_as_one() {
        let domain = |length: usize| "a.".repeat(length / 2 - 1) + "aa";
        let longest = format!("{}/fuse", domain(244));
        for name in ["github.com/fuse", "a/b", longest.as_str()] {
            assert!(is_extended_resource(name), "{name}");
        }
        let longer = format!("{}/fuse", domain(246));
        for name in [
            "cpu",
            "kubernetes.io/fuse",
            "a.kubernetes.io/fuse",
            "akubernetes.io/fuse",
            "requests.a/b",
            longer.as_str(),
        ] {
            assert!(!is_extended_resource(name), "{name}");
        }
    }
}
