//! `podseal doctor`: what is wrong with an installation and its namespaces, and which
//! profiles work on the nodes. Reads a cluster, and judges what it read.
//!
//! | from | by | to |
//! |---|---|---|
//! | the API server | `look`, `objects` | objects, each seen, absent, not allowed or failed |
//! | all of them | `facts`, `job_namespace`, `dry_run` | [`facts::Facts`] |
//! | podseal itself | `installation`, `webhooks`, `certificate`, `guard` | [`finding::Finding`]s, no I/O |
//! | a namespace | `namespaces`, `limits`, `creation` (the dry run), `jobs` | the same |
//! | the nodes | `nodes`, `node_findings` | the same |
//! | nodes and profiles | `needs`, `node_kind`, `systems`, `toleration`, `fitness`, `verdict` | which profile works on which kind of node, no I/O |
//!
//! `trial` does what no API tells. `job` is the pod of a job that stands for all,
//! `command` what a reader pastes. Messages of the API server and of jobs are read by [`crate::symptoms`].

mod certificate;
pub mod command;
mod creation;
pub mod dry_run;
pub mod facts;
pub mod finding;
pub mod fitness;
mod guard;
mod installation;
mod job;
pub mod job_namespace;
mod jobs;
mod limits;
pub mod look;
mod namespaces;
pub mod needs;
mod node_findings;
pub mod node_kind;
pub mod nodes;
pub mod objects;
pub mod policy;
mod quantity;
pub mod report;
#[cfg(test)]
mod scripted_api_server;
mod systems;
pub mod toleration;
pub mod trial;
mod verdict;
mod webhooks;

/// The label that GitLab Runner sets on each job's pod.
const JOB_LABEL: &str = "job.runner.gitlab.com/pod";
/// The label of the doctor's own pods.
const TRIAL_LABEL: &str = "podseal.io/doctor";
