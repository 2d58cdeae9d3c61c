//! Certificates that podseal creates and renews itself, in a Secret that all replicas
//! share.
//!
//! ```text
//!              configurations   Secret          time
//!                    │             │              │
//!  api_objects.rs ◀──┴──────┬──────┘              │
//!      │                    ▼                     │
//!      │      state of a replica (replica.rs) ◀───┘
//!      │                    ▼
//!      │    the next step (rotation.rs): pure
//!      │          ▼                   ▼
//!      └─▶ write the Secret   patch the configurations ─▶ serve the leaf
//! ```
//!
//! There is no leader. Each replica decides by itself, and writes with the resource
//! version that it read; after a conflict it reads again. This is safe because:
//!
//! - Both configurations trust a CA for the waiting time before one of its leaves is
//!   served, and for the same time after the last one.
//! - A waiting time ends only when it has passed according to the Secret, by the time of
//!   day, *and* according to the writer, by a clock that does not jump.
//! - CAs are added to a configuration before others are removed.
//! - If the Secret is missing, damaged or an old copy, replicas restore it from memory.
//!   The certificate in use stays.

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
