//! The serving certificate: where it comes from, and what is served of it.
//!
//! A source presents an [`identity::Identity`] whenever it has a new one; the
//! server takes what is [`serving::Current`] at each handshake.
//!
//! | file | what it does |
//! |---|---|
//! | [`identity`] | a certificate and its key, proven to belong together |
//! | [`pem`] | what a file holds, or holds instead |
//! | [`serving`] | what is served, and how it changes while serving |
//! | [`files`] | the certificate, and the authorities of clients, from files |
//! | [`reload`] | notices when the files change, and reads them again |
//! | `recording_verifier` | verifies a server's certificate where podseal is the client |
//! | [`self_managed`] | an authority and a certificate of podseal's own, in a Secret |

pub mod files;
pub mod identity;
pub mod pem;
pub(crate) mod recording_verifier;
pub mod reload;
pub mod self_managed;
pub mod serving;
