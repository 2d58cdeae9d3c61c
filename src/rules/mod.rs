//! What a cluster's administrator says in files: profiles of their own, and what
//! holds for namespaces without a label.
//!
//! | file | what it does |
//! |---|---|
//! | [`current`] | what holds now, for all reviews |
//! | [`digest`] | which default rules a replica holds, as paths of webhooks name them |
//! | [`folder`] | reads the profiles of a folder |
//! | [`renewal`] | reads them again while podseal serves |

pub mod current;
pub mod digest;
pub mod folder;
pub mod renewal;
