//! The name of a namespace.

use admission::request::is_namespace;

/// Parses it, as Kubernetes allows it.
pub(in crate::cli) fn namespace(text: &str) -> Result<String, &'static str> {
    match is_namespace(text) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("must be at most 63 lowercase letters, digits and dashes"),
    }
}
