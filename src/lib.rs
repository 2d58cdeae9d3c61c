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
//! | room | what it does |
//! |---|---|
//! | `crates/admission` | decides: profiles, changes, sentences, the response and the record; no I/O |
//! | [`server`] | accepts connections: TLS, HTTP/1.1 and HTTP/2, limits, the orderly end |
//! | [`webhook`] | answers reviews |
//! | [`fairness`] | who shares what with whom |
//! | [`logging`] | the log, and lines of it that any client can cause |
//! | [`namespaces`] | knows namespaces: from the API server, or from a file |
//! | [`kubernetes`] | talks to the API server |
//! | [`certificates`] | the serving certificate and its sources |
//! | [`live_config`] | what an administrator says in files: profiles and default rules, reloaded |
//! | [`metrics`] | counts what podseal does, for Prometheus |
//! | [`health`] | tells how podseal is: probes and metrics, on a port of their own |
//! | [`probe`] | asks a podseal as an API server would, to see whether it answers |
//! | [`cli`] | the commands and what they print |

pub mod certificates;
pub mod cli;
pub mod fairness;
pub mod health;
pub mod kubernetes;
pub mod live_config;
pub mod logging;
pub mod metrics;
pub mod namespaces;
pub mod probe;
pub mod server;
pub mod webhook;
