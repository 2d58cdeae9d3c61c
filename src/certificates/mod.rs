//! The serving certificate and its sources.
//!
//! A source presents an [`identity::Identity`] whenever it has a new one. The server
//! uses the [`serving::Current`] one for each handshake.
//!
//! | file | what it does |
//! |---|---|
//! | [`identity`] | a certificate with its chain and its matching key |
//! | [`pem`] | reads PEM files |
//! | [`serving`] | the certificate in use, and how it is replaced |
//! | [`files`] | the certificate and client CAs from files |
//! | [`reload`] | rereads the files when they change |
//! | `recording_verifier` | verifies a server's certificate when podseal is the client |
//! | [`self_managed`] | a CA and certificates that podseal maintains itself, in a Secret |

pub mod files;
pub mod identity;
pub mod pem;
pub(crate) mod recording_verifier;
pub mod reload;
pub mod self_managed;
pub mod serving;
