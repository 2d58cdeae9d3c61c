//! podseal: an admission webhook that makes Podman work inside GitLab Runner
//! job pods, where a namespace's label asks for it.
//!
//! A pure core decides; a thin shell serves. Data travels one way:
//!
//! ```text
//! bytes ─▶ Request ─▶ Job ─▶ Policy ─▶ Changes ─▶ Decision ─▶ response + record
//!          └───────────────────── crates/admission ──────────────────────────┘
//!                              ▲
//!                  Namespace ──┘  namespaces/ (watch cache, live GET, or a file)
//! ```
//!
//! | folder | what it does |
//! |---|---|
//! | `crates/admission` | decides: profiles, changes, sentences, the response and the record; no I/O |
//! | [`server`] | accepts connections: TLS, HTTP/1.1 and HTTP/2, limits, eviction, draining; knows no review |
//! | [`webhook`] | answers reviews: routes, bodies, load shedding |
//! | [`audit_log`] | writes the records of decisions, to standard error or a file |
//! | [`fairness`] | fair shares of what all clients compete for |
//! | [`namespaces`] | knows namespaces: a watch and its cache, live look-ups, or a file |
//! | [`device_plugin`] | offers a node's `/dev/fuse` to its containers, through the kubelet |
//! | [`pod_events`] | creates an event on each pod that may not run |
//! | [`kubernetes`] | talks to the API server |
//! | [`live_config`] | the profiles and namespace rules in use, reloaded when their files change |
//! | [`certificates`] | the serving certificate and its sources |
//! | [`metrics`] | counts what podseal does, for Prometheus; imports none of the others |
//! | [`health`] | `/livez`, `/readyz` and `/metrics`, on a port of their own |
//! | [`logging`] | sets the log up, writes it from its own thread, and limits lines that any client can cause |
//! | [`probe`] | asks a podseal as an API server would, to see whether it answers |
//! | [`doctor`] | reads a cluster, and judges the installation, namespaces and nodes |
//! | [`symptoms`] | what failing jobs print, with cause and fix: troubleshooting's tables |
//! | [`cli`] | the commands, a folder each, and what they print |
//!
//! Imports point one way: `cli` → `device_plugin`, `webhook`, `server`, `probe` → `health` →
//! `namespaces`, `pod_events`, `certificates`, `audit_log` → `live_config` → `logging` →
//! `fairness`, `kubernetes`, `metrics`. No two folders import each other.

pub mod audit_log;
pub mod certificates;
pub mod cli;
pub mod device_plugin;
pub mod doctor;
pub mod fairness;
pub mod health;
pub mod kubernetes;
pub mod live_config;
pub mod logging;
pub mod metrics;
pub mod namespaces;
pub mod pod_events;
pub mod probe;
pub mod server;
pub mod symptoms;
pub mod webhook;
