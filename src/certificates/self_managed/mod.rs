//! Certificates that podseal makes and keeps itself, in a Secret that all
//! replicas share.
//!
//! ```text
//!              configurations   Secret          time
//!                    │             │              │
//!  api_objects.rs ◀──┴──────┬──────┘              │
//!      │                    ▼                     │
//!      │      what a replica knows (replica.rs) ◀─┘
//!      │                    ▼
//!      │    the next step (rotation.rs): pure
//!      │          ▼                   ▼
//!      └─▶ write the Secret   patch the configurations ─▶ serve the leaf
//! ```
//!
//! There is no leader. Each replica decides by itself, and writes with the version it
//! has read; the slower one reads again. What makes this safe:
//!
//! - An authority is trusted by both configurations for the waiting time before
//!   a leaf of it is served, and for as long after the last leaf of it.
//! - A wait is over when the Secret says so by the time of day *and* the writer
//!   has seen as much by a clock that does not jump.
//! - Authorities are added to a configuration before others are removed.
//! - A Secret that is gone, damaged, or an old copy is written again from what
//!   replicas hold in memory. What is served stays.

mod api_objects;
mod authority;
mod backoff;
mod certificate;
pub mod clock;
#[cfg(test)]
mod laws;
mod reconcile;
mod replica;
mod rotation;
mod secret;
mod settings;
mod state;
pub mod status;
mod webhook_configuration;

pub use api_objects::Names;
pub use reconcile::keep;
pub use settings::Settings;
pub use state::Lifetimes;
