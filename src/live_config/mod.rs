//! What a cluster's administrator says in files: profiles of their own, and what
//! holds for namespaces without a label.
//!
//! | file | what it does |
//! |---|---|
//! | [`current`] | what holds now, for all reviews |
//! | [`digest`] | which namespace rules a replica holds, as paths of webhooks name them |
//! | [`profile_folder`] | reads the profiles of a folder |
//! | [`reload`] | reads them again while podseal serves |
//! | `folder_watch` | watches the folders that files are in, for profiles and for certificates |

pub mod current;
pub mod digest;
pub(crate) mod folder_watch;
pub mod profile_folder;
pub mod reload;
