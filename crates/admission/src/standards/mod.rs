//! The Pod Security Standards: every control of the levels *baseline* and
//! *restricted*, as policy version v1.37 has them.
//!
//! What they forbid was read from their reference implementation, the Go module
//! `k8s.io/pod-security-admission` v0.37.1, with which these controls agree
//! pod by pod (`tests/offline/pod_security.rs`). Their names are those of the page
//! "Pod Security Standards" of the Kubernetes documentation.
//!
//! The reference reports one sentence for each control. Here each violation is
//! reported with its container and value, since a profile grants a value in a
//! container, and nothing else.
//!
//! A new control is one file and one line of the table in `control.rs` and one in `table.rs`.

pub(crate) mod apparmor_annotations;
mod checks;
mod control;
mod difference;
mod evaluate;
mod subject;
mod table;
#[cfg(test)]
mod tests;

pub use self::control::{Control, Family, Level};
pub use self::difference::for_each_new_violation;
pub use self::evaluate::{for_each_violation, violations, violations_with};
pub use self::subject::{FieldPath, Value, Violation};
