//! podseal's core, which decides. Pure: no async, no clock, no I/O, no global state
//! but the built-in profiles.
//!
//! [`mutate`] and [`validate`] are the entry points. A request passes through these
//! modules from top to bottom, and imports point down only:
//!
//! | from | by | to |
//! |---|---|---|
//! | bytes | [`request`] | how much memory they take to answer; a [`request::Request`], with the [`pod`] borrowed from them |
//! | namespace labels, or rules | [`namespace`] | a [`namespace::policy::Policy`], with its [`profile`] |
//! | pod | [`gitlab`] | a [`gitlab::job::Job`], or the pod is not a job's |
//! | pod and profile | [`correct`] | [`correct::change::Change`]s and a JSON Patch, or a [`correct::refusal::Refusal`] |
//! | corrected pod and profile | [`cautions`] | what may keep the job from running |
//! | pod and level | [`standards`] and [`profile::grants`] | violations of the Pod Security Standards, beyond what the profile grants |
//! | all of it | [`mutate`], [`validate`] | a [`decision::Decision`], with the denial or the notices |
//! | decision | [`response`], [`decision::record`] | the answer, and the line of the audit log |
//!
//! In addition, [`lint`] reads profiles and reports what is wrong with them, and
//! [`text`] escapes untrusted text for messages and records.

pub mod cautions;
pub mod correct;
pub mod decision;
pub mod gitlab;
pub mod lint;
pub mod mutate;
pub mod namespace;
pub mod pod;
pub mod profile;
pub mod request;
pub mod response;
pub mod standards;
pub mod text;
pub mod validate;
