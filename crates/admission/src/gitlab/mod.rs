//! All that podseal knows of GitLab Runner.

pub mod job;
pub mod role;
