//! Does a podseal answer there, as an API server would ask it?
//!
//! It is the one client podseal has of its own: it finds the host, connects,
//! verifies the certificate by an authority and the host's name, and has a
//! harmless pod reviewed by both webhooks. [`crate::health::self_probe`] asks
//! something else: whether a replica serves the certificate that it means to.
//!
//! Whoever answers is a stranger until proven otherwise, and afterwards still
//! bounded in time and in bytes; nothing of its text is shown unescaped.
//!
//! | file | what it does |
//! |---|---|
//! | [`target`] | where to ask: the URL |
//! | [`trust`] | whom to believe: verifies as an API server does, and remembers what it saw |
//! | [`certificate`] | what a person wants to know of a certificate |
//! | `review` | the review, and whether its answer is one |
//! | `attempt` | one try: from the name to the last answer |
//! | `connect` | a connection to one of the host's addresses |
//! | [`retry`] | tries until there is an answer, or the time is up |
//! | [`failure`] | what goes wrong, why, and what to do |

mod attempt;
pub mod certificate;
mod connect;
pub mod failure;
pub mod retry;
mod review;
pub mod target;
pub mod trust;
