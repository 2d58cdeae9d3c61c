//! What podseal knows of the cluster: the labels of its namespaces.

pub mod file;
pub mod namespaces;
mod watch;
