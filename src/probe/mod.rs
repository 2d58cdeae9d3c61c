//! Does a podseal answer there, as an API server would ask it?
//!
//! It is the one client podseal has of its own: it finds the host, connects,
//! verifies the certificate by an authority and the host's name, and has a
//! harmless pod reviewed by both webhooks. [`crate::health::self_probe`] asks
//! something else: whether a replica serves the certificate that it means to.
//!
//! A server is not trusted until its certificate is verified. Even then its answers
//! are bounded in time and in bytes, and no text of it is shown unescaped.
//!
//! | file | what it does |
//! |---|---|
//! | [`config`] | what is to be probed |
//! | [`target`] | where: the URL |
//! | [`trust`] | which authorities are trusted: verifies as an API server does, and records what it saw |
//! | [`certificate`] | what a person wants to know of a certificate |
//! | `review` | the review that is sent, and whether its answer is one |
//! | `attempt` | one attempt: from the name to the last answer |
//! | `connect` | a connection to one of the host's addresses |
//! | `limits` | the bounds of an attempt |
//! | [`retry`] | attempts until there is an answer, or the time is up |
//! | [`report`] | what was done, and how it ended |
//! | [`failure`] | what can go wrong, why, and how to fix it |

mod attempt;
pub mod certificate;
pub mod config;
mod connect;
pub mod failure;
mod limits;
pub mod report;
pub mod retry;
mod review;
pub mod target;
pub mod trust;
