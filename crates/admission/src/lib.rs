//! podseal's core, which decides. Pure: no async, no clock, no I/O, no global state
//! but the built-in profiles.
//!
//! A request passes through here from top to bottom:
//!
//! | from | by | to |
//! |---|---|---|
//! | bytes | [`size`] | how much memory they take to answer, or that they are too much |
//! | bytes | [`request`] | [`request::Request`], with the [`pod`] borrowed from them |
//! | pod | [`job`] | [`job::Job`], or it is no job |
//! | namespace labels, or [`defaults`] | [`policy`], [`unread`] | [`policy::Policy`], with its [`profile`] |
//! | profile and the namespace's annotations | [`adjusted`] | [`adjusted::Adjusted`], or a denial |
//! | pod and profile | `plan`, [`home`], `restrict` | [`change::Change`]s and a JSON Patch, by `corrector` and `patch` |
//! | corrected pod | `conflict`, `shape` | nothing, or a [`message::Refusal`]; cautions |
//! | pod and level | [`pod_security`], [`grants`], `narrowing` | [`grants::Violations`], beyond what the profile grants |
//! | request | `impossible` | a pod that nobody can have, which is decided at once |
//! | all of it | [`review`] for `/mutate`, [`judge`] for `/validate` | [`review::Decision`] |
//! | decision | [`response`], [`record`] | the answer, and the line of the log |

pub mod adjusted;
pub mod change;
pub mod changed;
mod conflict;
mod corrector;
pub mod defaults;
pub mod grants;
pub mod handler;
pub mod home;
pub mod home_path;
mod impossible;
pub mod job;
pub mod judge;
pub mod message;
mod narrowing;
mod object;
mod patch;
mod plan;
pub mod pod;
pub mod pod_security;
pub mod policy;
pub mod profile;
pub mod record;
pub mod request;
pub mod response;
mod restrict;
pub mod review;
pub mod security_context;
mod shape;
pub mod size;
pub mod stamp;
pub mod text;
pub mod unnamed_runners;
pub mod unread;
pub mod volume;
