//! How a job's pod is corrected.
//!
//! | from | by | to |
//! |---|---|---|
//! | pod and profile | `steps`, which calls the others in order | the corrected pod, [`change::Change`]s and a JSON Patch |
//! | one change | `editor` | the pod in memory, the change, and its operation by `json_patch` |
//! | capabilities, AppArmor, HOME, Podman's configuration, the uid collector, level restricted | `capabilities`, `apparmor`, [`home`], `storage`, `uid_collector`, `restricted` | changes |
//! | CRI-O's annotations | `devices` | the lists with the profile's devices |
//! | path in a container | `volumes` | the mount that it is in; an `emptyDir` there |
//! | corrected pod | `conflicts`, `runner_features` | nothing, or a [`refusal::Refusal`]; warnings |
//! | profile and settings | [`marker`] | the annotation that identifies the version that corrected a pod |
//! | pod with another version's mark | `missing_limits` | the limits that it lacks |

mod apparmor;
mod capabilities;
pub mod change;
pub mod change_parts;
pub(crate) mod conflicts;
pub(crate) mod devices;
mod editor;
pub mod home;
mod json_patch;
pub mod marker;
pub(crate) mod missing_limits;
pub mod refusal;
mod restricted;
pub(crate) mod runner_features;
pub(crate) mod steps;
mod storage;
mod uid_collector;
pub(crate) mod volumes;

pub use steps::kept_user;
