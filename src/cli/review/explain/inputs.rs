//! What an explanation requires in addition to the decision.

use std::collections::BTreeMap;

use crate::cli::args::policy::LoadedFolder;
use admission::namespace::Namespace;
use admission::namespace::policy::Settings;

/// Labels and annotations from the command line: the key, and the argument that sets it.
pub(in crate::cli) type Arguments = BTreeMap<String, &'static str>;

/// What an explanation requires in addition to the decision.
pub(in crate::cli) struct Inputs<'q> {
    pub(in crate::cli) namespace: &'q Namespace,
    pub(in crate::cli) settings: &'q Settings<'q>,
    /// The folder of profiles, if one was read.
    pub(in crate::cli) read: Option<&'q LoadedFolder>,
    /// Labels and annotations from the command line.
    pub(in crate::cli) arguments: &'q Arguments,
    pub(in crate::cli) operation: &'q str,
    pub(in crate::cli) user: &'q str,
    /// The HOME that the job sets itself, if it does.
    pub(in crate::cli) jobs_home: Option<&'q str>,
    /// The user that `build` keeps although the profile sets another.
    pub(in crate::cli) kept_user: Option<i64>,
}
