//! Health: `/livez`, `/readyz` and `/metrics`, on a port of their own.
//!
//! | file | what it does |
//! |---|---|
//! | [`readiness`] | the checks that `/readyz` answers from |
//! | [`readiness_log`] | when readiness comes and goes, for the log |
//! | [`self_probe`] | whether our own TLS port answers with the certificate in use |
//! | `handshake` | one such answer |
//! | [`routes`] | what each path says |
//! | [`port`] | the port, and its limits |

mod handshake;
pub mod port;
pub mod readiness;
pub mod readiness_log;
pub mod routes;
pub mod self_probe;
