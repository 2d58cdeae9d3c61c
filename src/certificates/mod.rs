//! The serving certificate: where it comes from, and what is served of it.
//!
//! A source (files, or [`self_managed`]) presents an [`identity::Identity`]
//! whenever it has a new one; the server takes what is [`serving::Current`] at
//! each handshake.

pub mod identity;
pub mod self_managed;
pub mod serving;
