//! Checks that a podseal answers as an API server requires.
//!
//! This is podseal's own client: it resolves the host, connects, verifies the
//! certificate with a CA and the host name, and sends the review of a harmless pod to
//! both webhooks. In contrast, [`crate::health::self_probe`] checks only that a replica
//! serves the certificate in use.
//!
//! The server is not trusted until its certificate is verified. Even then, its responses
//! are limited in time and size, and its texts are escaped.
//!
//! | file | what it does |
//! |---|---|
//! | [`config`] | the parameters of a probe |
//! | [`target`] | the URL |
//! | [`trust`] | verifies the certificate as an API server does, and records it |
//! | [`certificate`] | a summary of the certificate |
//! | `review` | the review, and the check of its response |
//! | `attempt` | one attempt: from resolving the host to the last response |
//! | `connect` | connects to one of the host's addresses |
//! | `limits` | the limits of an attempt |
//! | [`retry`] | retries until podseal answers or the timeout |
//! | [`report`] | the steps and the result |
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
