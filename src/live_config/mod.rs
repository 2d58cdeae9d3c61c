//! Configuration from a cluster administrator's files: profiles, and rules for
//! namespaces without a label.
//!
//! | file | what it does |
//! |---|---|
//! | [`current`] | the current configuration |
//! | [`digest`] | the digest of namespace rules in webhook paths |
//! | [`profile_folder`] | reads the profiles of a folder |
//! | [`reload`] | rereads profiles while podseal serves |
//! | `folder_watch` | watches the folders of profiles and certificates |

pub mod current;
pub mod digest;
pub(crate) mod folder_watch;
pub mod profile_folder;
pub mod reload;
