//! What an explanation is made of, besides the decision.

use std::collections::BTreeMap;

use crate::cli::args::policy::LoadedFolder;
use admission::namespace::Namespace;
use admission::namespace::policy::Settings;

/// What of the namespace the command line says: key, and argument.
pub(in crate::cli) type Arguments = BTreeMap<String, &'static str>;

/// What an explanation is made of, besides the decision.
pub(in crate::cli) struct Inputs<'q> {
    pub(in crate::cli) namespace: &'q Namespace,
    pub(in crate::cli) settings: &'q Settings<'q>,
    /// The files of profiles.
    pub(in crate::cli) read: Option<&'q LoadedFolder>,
    /// What of the namespace the command line says.
    pub(in crate::cli) arguments: &'q Arguments,
    pub(in crate::cli) operation: &'q str,
    pub(in crate::cli) user: &'q str,
    /// The HOME that the job says itself, if it has one.
    pub(in crate::cli) jobs_home: Option<&'q str>,
}
