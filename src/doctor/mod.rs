//! `podseal doctor`: what is wrong with an installation and its namespaces, and which
//! profiles work on the nodes. Reads a cluster, and judges what it read.
//!
//! | from | by | to |
//! |---|---|---|
//! | the API server | `look`, `objects` | objects, each seen, absent, not allowed or failed |
//! | all of them | `facts`, `dry_run` | [`facts::Facts`] |
//! | facts | `installation`, `certificate`, `namespaces`, `jobs`, `nodes`, `node_findings` | [`finding::Finding`]s, no I/O |
//! | nodes and profiles | `needs`, `node_kind`, `systems`, `toleration`, `fitness`, `verdict` | which profile works on which kind of node, no I/O |
//!
//! `trial` does what no API tells. `job` is the pod of a job that stands for all. Messages of the API server and of jobs are read by [`crate::symptoms`].

mod certificate;
pub mod dry_run;
pub mod facts;
pub mod finding;
pub mod fitness;
mod installation;
mod job;
mod jobs;
pub mod look;
mod namespaces;
pub mod needs;
mod node_findings;
pub mod node_kind;
pub mod nodes;
pub mod objects;
pub mod policy;
pub mod report;
#[cfg(test)]
mod scripted_api_server;
mod systems;
pub mod toleration;
pub mod trial;
mod verdict;

/// The label that GitLab Runner sets on each job's pod.
const JOB_LABEL: &str = "job.runner.gitlab.com/pod";
