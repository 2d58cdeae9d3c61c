//! What podseal knows about GitLab Runner.

pub mod job;
pub mod role;
