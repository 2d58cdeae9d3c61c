//! The file that `--namespaces` names.

use std::path::Path;

use anyhow::Context;

use crate::namespaces::file::NamespaceFile;
use admission::namespace::rules::NamespaceRules;

/// Reads the file that `--namespaces` names.
pub(in crate::cli) fn read_namespaces(
    path: &Path,
    namespace_rules: &NamespaceRules,
) -> anyhow::Result<NamespaceFile> {
    let in_file = || format!("--namespaces {}", path.display());
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", in_file()))?;
    NamespaceFile::keeping(&text, &namespace_rules.label_keys()).with_context(in_file)
}
